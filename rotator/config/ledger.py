"""`[ledger]`, as the file has it."""

from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo

from rotator.config import path, url
from rotator.config.kind import File
from rotator.config.problem import Unfit
from rotator.config.table import Table
from rotator.errors import ConfigError

_SQLITE_DEFAULT = "sqlite:////var/lib/rotator/ledger.db"


def _ledger_url(text: str, info: ValidationInfo) -> str:
    if url.has_password(text):
        raise Unfit(
            "has a password",
            hint="put the whole URL into a file that ledger.url_file names; "
            "or use peer authentication, or $PGPASSFILE",
        )
    found = url.ledger_url(text)
    file = url.sqlite_path(found)
    return found if file is None else f"sqlite:///{path.around(info).resolve(file)}"


class Ledger(Table):
    """`[ledger]`: where the record is kept."""

    #: A file whose only line is the URL, for one with a password.
    url_file: File = None
    #: None where `url_file` holds it; `read_url` gives the right one.
    url: Annotated[str | None, AfterValidator(_ledger_url)] = Field(
        default_factory=lambda given: None if given.get("url_file") else _SQLITE_DEFAULT
    )
    #: Whether the schema is upgraded at start.
    auto_upgrade: bool = True

    def read_url(self) -> str:
        """Give the URL, which may hold a password; reads `url_file` where that is set.

        Raises:
            ConfigError: the file cannot be read or holds no ledger's URL.
        """
        if self.url_file is None:
            return self.url or _SQLITE_DEFAULT
        where = f"ledger.url_file: {str(self.url_file)!r}"
        try:
            return url.ledger_url(self.url_file.read_text(encoding="utf-8").strip())
        except OSError as error:
            reason, hint = f"cannot be read: {(error.strerror or 'no reason').lower()}", None
        except UnicodeDecodeError:
            reason, hint = "is not UTF-8", None
        except Unfit as unfit:
            reason, hint = f"holds what {unfit}", unfit.hint
        raise ConfigError(f"{where} {reason}", hint=hint)
