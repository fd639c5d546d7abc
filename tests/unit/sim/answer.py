"""An answer of a simulator, read to its end."""

import http.client
import json
from dataclasses import dataclass
from typing import Any


@dataclass
class Answer:
    """An answer, read to its end."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def document(self) -> Any:  # noqa: ANN401 - JSON
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def problem(self) -> tuple[int, str, str]:
        """Status, fragment of the type and title of a problem document of Vonage."""
        fragment = self.document["type"].partition("#")[2]
        return self.status, fragment, self.document["title"]

    @property
    def data(self) -> Any:  # noqa: ANN401 - JSON
        """What Vault's envelope holds."""
        return self.document["data"]

    @property
    def refusal(self) -> tuple[int, list[str]]:
        """Status and errors of Vault."""
        return self.status, self.document["errors"]
