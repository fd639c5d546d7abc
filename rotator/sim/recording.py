"""The record of one request that a simulator received."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal


@dataclass(kw_only=True, slots=True)
class Exchange:
    """One request and its outcome.

    `status` and `fault` are set while the request is served: in the "before" call of an observer
    both are still None.
    """

    #: counts from 1 per simulator, in the order of arrival
    number: int
    at: datetime
    method: str
    #: percent-decoded, without the query
    path: str
    query: Mapping[str, str]
    #: by lower-case name
    request_headers: Mapping[str, str]
    #: the user of Basic auth; empty if there is none
    api_key: str
    #: as sent; None while there is no answer, and for good if a fault withholds it
    status: int | None = None
    #: kind of the fault that the request met
    fault: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return every field as a value for JSON; `at` in ISO 8601."""
        return {**asdict(self), "at": self.at.isoformat()}


#: "before": the request was read and nothing is done yet.
#: "after": the effect, if any, was applied and the answer is not sent yet.
Phase = Literal["before", "after"]

#: Called once per phase, in the thread that serves the request, without any lock held.
Observer = Callable[[Phase, Exchange], None]
