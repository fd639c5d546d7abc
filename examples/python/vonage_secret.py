"""A Vonage secret that follows its rotation: read from Vault, and anew when Vonage refuses it.

Standard library only. `Credentials` and `call` are what an application copies. Run as a program,
this is a service that shows the account's balance at /balance, and at /vonage-secret the id of the
secret that it uses, for `rotator gate http`.
"""

import base64
import json
import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follows none: the token or the secret would be sent to another host."""

    def redirect_request(self, *_: object) -> None:
        """Return that there is nothing to follow."""


http = urllib.request.build_opener(NoRedirects)


@dataclass(frozen=True)
class Credential:
    """An account's API key and secret."""

    api_key: str
    api_secret: str = field(repr=False)
    #: Vonage's id of the secret, from rotator's note; "" for one that was replaced.
    secret_id: str


@dataclass(frozen=True)
class Answer:
    """An answer of Vonage."""

    status: int
    body: bytes

    def is_refusal(self) -> bool:
        """Return whether Vonage refused the secret.

        The SMS API answers 200 with a status of "4" instead of 401.
        """
        if self.status != 200:
            return self.status == 401
        try:
            return bool(json.loads(self.body)["messages"][0]["status"] == "4")
        except (ValueError, LookupError, TypeError):
            return False


class Credentials:
    """The credential in Vault: kept for a while, and read anew when Vonage refuses it."""

    def __init__(
        self, address: str, path: str, token_file: Path, *, max_age: float = 300, pause: float = 1
    ) -> None:
        """Read nothing yet. `path` is the entry's, `secret/data/vonage/sms-prod`.

        It is read again after `max_age` seconds, or where Vonage refuses it, but not within `pause`
        seconds.
        """
        self._url = f"{address.rstrip('/')}/v1/{path}"
        self._token_file = token_file
        self._max_age, self._pause = max_age, pause
        self._lock = threading.Lock()
        self._kept: Credential | None = None
        self._previous: Credential | None = None
        self._read_at = self._due_at = 0.0

    def current(self) -> Credential:
        """Return the credential; while Vault cannot be read, the one that was read last."""
        with self._lock:
            if self._kept is None:
                return self._read()
            if time.monotonic() >= self._due_at:
                try:
                    return self._read()
                except (OSError, ValueError, LookupError):
                    self._due_at = time.monotonic() + self._pause
            return self._kept

    def instead_of(self, refused: Credential) -> Credential | None:
        """Return the credential that replaced a refused one; else, the one that it replaced.

        None where Vault has neither. It has the replaced one with rotator's `previous_field` alone.
        """
        with self._lock:
            # Another thread may have read it meanwhile.
            if self._kept == refused and time.monotonic() >= self._read_at + self._pause:
                self._read()
            return self._previous if self._kept == refused else self._kept

    def _read(self) -> Credential:
        # The token is read afresh: an agent may have renewed it.
        headers = {"X-Vault-Token": self._token_file.read_text().strip()}
        with http.open(urllib.request.Request(self._url, headers=headers), timeout=10) as answer:
            entry = json.load(answer)["data"]["data"]
        api_key, note = entry["api_key"], entry["rotator"]
        previous = entry.get(note.get("previous_field"))
        self._previous = Credential(api_key, previous, "") if previous else None
        self._kept = Credential(api_key, entry["api_secret"], note["secret_id"])
        self._read_at = time.monotonic()
        self._due_at = self._read_at + self._max_age
        return self._kept


def call(credentials: Credentials, send: Callable[[Credential], Answer]) -> Answer:
    """Send a request to Vonage; if the secret is refused and Vault has another, send it again.

    What was refused had no effect, so nothing is done twice.
    """
    credential = credentials.current()
    answer = send(credential)
    if answer.is_refusal() and (replacement := credentials.instead_of(credential)):
        answer = send(replacement)
    return answer


# -- A service that uses it. ---------------------------------------------------------------

VONAGE = os.environ.get("VONAGE_URL", "https://rest.nexmo.com")


def balance(credential: Credential) -> Answer:
    """Ask Vonage for the account's balance."""
    pair = f"{credential.api_key}:{credential.api_secret}".encode()
    request = urllib.request.Request(
        f"{VONAGE}/account/get-balance",
        headers={"Authorization": f"Basic {base64.b64encode(pair).decode()}"},
    )
    try:
        with http.open(request, timeout=10) as answer:
            return Answer(answer.status, answer.read())
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.read())


class Handler(BaseHTTPRequestHandler):
    """Answers at two paths."""

    credentials: Credentials

    def do_GET(self) -> None:
        """Answer, with no value in it."""
        try:
            answer = self._answer()
        except (OSError, ValueError, LookupError):
            answer = Answer(503, b"")
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def _answer(self) -> Answer:
        if self.path == "/balance":
            return call(self.credentials, balance)
        if self.path == "/vonage-secret":
            shown = {"secret_id": self.credentials.current().secret_id}
            return Answer(200, json.dumps(shown).encode())
        return Answer(404, b"")


def main() -> None:
    """Serve until a signal."""
    Handler.credentials = Credentials(
        os.environ["VAULT_ADDR"],
        os.environ["VONAGE_VAULT_PATH"],
        Path(os.environ["VAULT_TOKEN_FILE"]),
        max_age=float(os.environ.get("VONAGE_MAX_AGE", "300")),
        pause=float(os.environ.get("VONAGE_PAUSE", "1")),
    )
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8080"))), Handler)
    print(f"serving at http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
