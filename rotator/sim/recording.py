"""The record of one request that a simulator received."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal


@dataclass(kw_only=True, slots=True)
class Exchange:
    """One request and what became of it.

    `status` and `fault` are filled in while the request is served: at the "before" call of an
    observer both are still None.
    """

    #: counts from 1 per simulator, in the order of arrival
    number: int
    at: datetime
    method: str
    #: percent-decoded, without the query
    path: str
    query: Mapping[str, str]
    #: names in lower case
    request_headers: Mapping[str, str]
    #: the user of Basic auth; empty if there is none
    api_key: str
    #: of the answer as it goes out; None while unanswered, and for ever if a fault withholds it
    status: int | None = None
    #: the kind of the fault that this request met
    fault: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return every field as a value for JSON; `at` in ISO 8601."""
        return {**asdict(self), "at": self.at.isoformat()}


#: "before": the request is read and nothing is done yet.
#: "after": the effect, if any, is applied and the answer is not sent yet.
Phase = Literal["before", "after"]

#: Called in the thread that serves the request, once per phase, holding no lock.
Observer = Callable[[Phase, Exchange], None]
