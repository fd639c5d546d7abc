"""`[trigger]`: an address at which a leak scanner asks for a rotation."""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field, ValidationInfo

from rotator.config import urls
from rotator.config.errors import InvalidValue
from rotator.config.types import POSITIVE, Duration, File, Table, form
from rotator.errors import ConfigError, reason_of

if TYPE_CHECKING:
    from rotator.network.signatures import SigningKey

#: Bytes of a key; a shorter one could be guessed. Source: the specification of Standard Webhooks.
SHORTEST_KEY = 24

HOW_TO_MAKE_A_KEY = 'write one there: echo "whsec_$(openssl rand -base64 32)"'


def _listen(text: str, info: ValidationInfo) -> str:
    try:
        # Whoever can reach it must sign.
        urls.listen_address(text, has_token=True)
    except InvalidValue as invalid:
        hint = 'write 127.0.0.1:9471 or unix:/run/rotator/trigger.sock, or "" for none'
        raise InvalidValue(str(invalid), hint=hint) from None
    if text and info.data.get("secret_file") is None:
        raise InvalidValue(
            "needs a key, by which requests are believed",
            hint="name a file with it as trigger.secret_file",
        )
    return text


class TriggerSettings(Table):
    """`[trigger]`: who may ask for a rotation over the network, and how often."""

    #: A file with the key by which requests are signed, or with two while it is being replaced.
    secret_file: File = None
    #: HOST:PORT or unix:/PATH; "" for none.
    listen: Annotated[str, AfterValidator(_listen), form(urls.LISTEN_FORM)] = ""
    #: How far a request's time may be from this machine's.
    tolerance: Annotated[
        Duration, Field(ge=timedelta(seconds=1), le=timedelta(hours=1)), form(POSITIVE)
    ] = timedelta(minutes=5)
    #: Requests that are accepted in an hour.
    max_per_hour: Annotated[int, Field(ge=1, le=10_000)] = 60

    def is_at(self, address: str) -> bool:
        """Return whether it listens at `address`; each port 0 is another one."""
        return bool(self.listen) and self.listen == address and not address.endswith(":0")

    def read_keys(self) -> "tuple[SigningKey, ...]":
        """Read the keys in `secret_file`; none where that is not set.

        Raises:
            ConfigError: the file cannot be read, or has a key that is none or too short.
        """
        from rotator.network.signatures import keys_in  # noqa: PLC0415  # `status` needs no client

        if self.secret_file is None:
            return ()
        where = f"trigger.secret_file: {str(self.secret_file)!r}"
        try:
            keys = keys_in(self.secret_file.read_text(encoding="utf-8"))
        except OSError as error:
            hint = "create the file, and let rotator's user read it"
            raise ConfigError(f"{where} cannot be read: {reason_of(error)}", hint=hint) from None
        except UnicodeDecodeError:
            raise ConfigError(f"{where} is not UTF-8", hint=HOW_TO_MAKE_A_KEY) from None
        except ValueError as error:
            raise ConfigError(f"{where} {error}", hint=HOW_TO_MAKE_A_KEY) from None
        if any(len(key.raw) < SHORTEST_KEY for key in keys):
            what = f"{where} has a key of less than {SHORTEST_KEY} bytes"
            raise ConfigError(what, hint=HOW_TO_MAKE_A_KEY)
        return keys
