"""`[daemon]`, as the file has it."""

import re
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, ValidationInfo

from rotator.config import url
from rotator.config.kind import File, Positive, within
from rotator.config.problem import Unfit
from rotator.config.table import Table
from rotator.errors import ConfigError
from rotator.model import SecretValue


def _listen(text: str, info: ValidationInfo) -> str:
    return url.listen_address(text, has_token=info.data.get("listen_token_file") is not None)


#: A host as a Host header names it, without a port (RFC 1123, RFC 9110 section 7.2).
_HOST = r"(?!-)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*|\[[0-9a-f:.]+\]"
_HOW_TO_WRITE_HOSTS = 'write ["rotator.example.com"]: names alone, without scheme and port'


def _hosts(value: object) -> tuple[str, ...]:
    """Take a list of hosts, or a text with blanks or commas between them, as a variable has it."""
    texts = re.findall(r"[^\s,]+", value) if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        raise Unfit("is not a list of hosts", hint=_HOW_TO_WRITE_HOSTS)
    hosts = [text.lower().rstrip(".") for text in texts]
    for host in hosts:
        if not re.fullmatch(_HOST, host):
            raise Unfit("has an entry that is no host name", hint=_HOW_TO_WRITE_HOSTS)
    return tuple(dict.fromkeys(hosts))


class Daemon(Table):
    """`[daemon]`: how the daemon works."""

    #: Rotations at once.
    concurrency: Annotated[int, AfterValidator(within(1, 256))] = 8
    #: How often due accounts are looked for.
    poll: Positive = timedelta(seconds=15)
    #: How often each account is compared with Vonage and Vault between rotations.
    drift_check: Positive = timedelta(hours=6)
    #: How often the subaccounts of each `[[discover]]` are listed.
    discover_check: Positive = timedelta(hours=1)
    #: A file whose only line is what readers of the page have to show; None: they show nothing.
    listen_token_file: File = None
    #: HOST:PORT or unix:/PATH of the status page and metrics; "" for none.
    listen: Annotated[str, AfterValidator(_listen)] = "127.0.0.1:9470"
    #: Other names by which the page may be asked for; who shows the token may use any.
    allowed_hosts: Annotated[tuple[str, ...], BeforeValidator(_hosts)] = ()

    def read_listen_token(self) -> SecretValue | None:
        """Give the token of `listen_token_file`; None where that is not set.

        Raises:
            ConfigError: the file cannot be read, or what it holds is no token.
        """
        if self.listen_token_file is None:
            return None
        where = f"daemon.listen_token_file: {str(self.listen_token_file)!r}"
        try:
            text = self.listen_token_file.read_text(encoding="ascii").strip()
        except OSError as error:
            reason = (error.strerror or "no reason").lower()
            raise ConfigError(f"{where} cannot be read: {reason}") from None
        except UnicodeDecodeError:
            text = ""
        if not re.fullmatch("[!-~]{16,}", text):
            hint = "write one there: openssl rand -hex 32"
            raise ConfigError(f"{where} holds no token of at least 16 characters", hint=hint)
        return SecretValue(text)
