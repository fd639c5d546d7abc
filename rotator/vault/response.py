"""An answer of Vault: read by models, and never quoted, as it may contain values."""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, PlainValidator, ValidationError

from rotator.model import believable
from rotator.network import TransportFailure

#: Characters. OpenBao's index is base64 of a cluster and a number; Vault Enterprise's is similar.
_LONGEST_INDEX = 512
_CLUSTER = r"[0-9a-fA-F-]{36}"
_INDEX = re.compile(
    rf'\{{"cluster":"{_CLUSTER}","value":"\d{{1,20}}"\}}'
    rf"|v1:{_CLUSTER}:\d{{1,20}}:\d{{1,20}}:[A-Za-z0-9+/=]{{1,128}}",
    re.ASCII,
)


class Body(BaseModel):
    """Base of the models: each field has exactly its type, and other fields are ignored.

    A field goes by Vault's name for it alone, not by the one that it has here.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", hide_input_in_errors=True)


B = TypeVar("B", bound=Body)


def parse(model: type[B], found: object) -> B | None:
    """Parse JSON as `model`; None where it is anything else. pydantic's error would quote it."""
    try:
        return model.model_validate(found)
    except ValidationError:
        return None


def parse_moment(found: object) -> datetime | None:
    """Parse a time; None for "" or null, which mean never. Raises ValueError for no time."""
    if found is None or found == "":
        return None
    moment = datetime.fromisoformat(str(found))
    return believable(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


#: A time in UTC, clamped to the plausible range; None for never.
Moment = Annotated[datetime | None, PlainValidator(parse_moment)]


@dataclass(frozen=True, kw_only=True)
class VaultResponse:
    """Status and body of an HTTP answer."""

    status: int
    #: None where it is not a JSON object. Holds values: never shown.
    body: Mapping[str, Any] | None = field(repr=False)
    #: The Date header.
    date: str | None = None
    #: How long the server asks to wait before the next try, in seconds; None where it does not.
    retry_after: float | None = None
    #: The cluster's name for the state that this answer reflects; None for nothing.
    index: str | None = None

    @property
    def code(self) -> str:
        """The status, for metrics and logs."""
        return str(self.status)

    @property
    def errors(self) -> tuple[str, ...] | None:
        """Vault's error messages; None where the answer has no list of errors."""
        errors = self.part("errors")
        if not isinstance(errors, list) or not all(isinstance(error, str) for error in errors):
            return None
        return tuple(errors)

    def part(self, key: str) -> Any:  # noqa: ANN401  # JSON
        """Return the JSON at `key`; None where there is none."""
        return (self.body or {}).get(key)

    def data(self, model: type[B]) -> B | None:
        """Parse the answer's `data`; None where it is not as promised."""
        return parse(model, self.part("data"))

    def says(self, text: str) -> bool:
        """Return whether an error message of Vault contains `text`, ignoring case."""
        return any(text.lower() in error.lower() for error in self.errors or ())


VaultOutcome = VaultResponse | TransportFailure


def index_headers(index: str) -> dict[str, str]:
    """Build the headers that make a node which lags behind `index` forward to the active one.

    Servers that do not know them ignore them.
    """
    if not index:
        return {}
    return {"X-Vault-Index": index, "X-Vault-Inconsistent": "forward-active-node"}


def checked_index(text: str | None) -> str:
    """Return a valid `X-Vault-Index`, of OpenBao or Vault Enterprise; "" for anything else.

    It is kept in the ledger and sent back, so that nothing may pass that could be a value: it names
    a cluster by its UUID, and a count, exactly as servers spell it.
    """
    if text is None or len(text) > _LONGEST_INDEX or not text.isascii():
        return ""
    try:
        content = base64.b64decode(text, validate=True).decode("ascii")
    except ValueError:
        return ""
    return text if _INDEX.fullmatch(content) else ""
