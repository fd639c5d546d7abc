"""A ledger that a command line names, beside the one in the configuration."""

from pathlib import Path

from pydantic import ValidationError

from rotator.config.ledger import Ledger
from rotator.config.path import Surroundings
from rotator.config.problem import Unfit
from rotator.errors import ConfigError


def ledger_at(url: str | None, url_file: Path | None) -> Ledger:
    """Give the ledger at `url`, or at the URL that stands in `url_file`; one of them is given.

    Relative paths are relative to the working directory.

    Raises:
        ConfigError: it is no ledger's URL, or has a password, which others could see there.
    """
    given = {"url": url} if url_file is None else {"url_file": url_file.absolute()}
    surroundings = Surroundings(base=Path.cwd(), environ={})
    try:
        return Ledger.model_validate(given, context=surroundings)
    except ValidationError as error:
        [detail] = error.errors(include_url=False)
    unfit = detail.get("ctx", {}).get("error")
    rule = str(unfit) if isinstance(unfit, Unfit) else "is not valid"
    hint = _HINTS.get(rule) or getattr(unfit, "hint", None)
    # Not repeated: what is wrong with it may be that a secret is in it.
    raise ConfigError(f"the target's URL {rule}", hint=hint)


_HINTS = {"has a password": "put the whole URL into a file and name that with --to-file"}
