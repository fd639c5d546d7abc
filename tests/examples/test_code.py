"""The examples in code, as services, between a real Vault and the simulated Vonage."""

import shutil
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import requests

from tests.acceptance.service import until
from tests.contract.real import free_ports
from tests.examples.conftest import ACCOUNT, ENTRY, EXAMPLES, Site

NODE = shutil.which("node")
PROGRAMS = {
    "python": [sys.executable, str(EXAMPLES / "python" / "vonage_secret.py")],
    "node": [NODE or "", str(EXAMPLES / "node" / "vonage-secret.mjs")],
}
pytestmark = [
    pytest.mark.vault,
    pytest.mark.parametrize(
        "program",
        [
            "python",
            pytest.param("node", marks=pytest.mark.skipif(not NODE, reason="no node on PATH")),
        ],
    ),
]
#: Seconds; longer than any test.
NEVER = "3600"


class Service:
    """An example that runs as a service."""

    def __init__(self, port: int) -> None:
        """Reach it at `port`."""
        self.url = f"http://127.0.0.1:{port}"
        self._session = requests.Session()
        self._session.trust_env = False

    def status(self) -> int:
        """Return the status with which Vonage answers its request for the balance."""
        return self._session.get(f"{self.url}/balance", timeout=30).status_code

    def secret_id(self) -> str | None:
        """Return the id of the secret that it uses; None where it cannot say so."""
        answer = self._session.get(f"{self.url}/vonage-secret", timeout=30)
        return str(answer.json()["secret_id"]) if answer.ok else None

    def answers(self) -> bool:
        """Return whether it serves already."""
        try:
            return self._session.get(self.url, timeout=30).status_code == 404
        except requests.ConnectionError:
            return False


@contextmanager
def serving(site: Site, program: str, settings: Mapping[str, str]) -> Iterator[Service]:
    """Run an example until the end of the block."""
    (port, _) = free_ports()
    usual = {
        "PORT": str(port),
        "VAULT_ADDR": site.server.url,
        "VAULT_TOKEN_FILE": str(site.place / "token"),
        "VONAGE_VAULT_PATH": f"secret/data/{ENTRY}",
        "VONAGE_URL": site.world.vonage.url,
        "VONAGE_PAUSE": "0",
    }
    with site.running(PROGRAMS[program], {**usual, **settings}):
        service = Service(port)
        until(service.answers)
        yield service
    shown = (site.folder / "output").read_text()
    assert not [value for value in site.values() if value in shown]


def balances(site: Site) -> list[int]:
    """Return the statuses with which Vonage has answered requests for a balance."""
    asked = [each for each in site.world.vonage.exchanges if "get-balance" in each.path]
    return [each.status or 0 for each in asked]


def test_a_request_that_is_refused_is_repeated_with_the_new_secret(
    site: Site, program: str
) -> None:
    """Its caller sees no failure, though the old secret is deleted without any grace."""
    with serving(site, program, {"VONAGE_MAX_AGE": NEVER}) as service:
        before = service.status(), service.secret_id()
        assert site.outcome("rotate-now", ACCOUNT, "--grace", "0s") == "completed"
        kept = service.secret_id()
        after = [service.status() for _ in range(2)], service.secret_id()

    assert before == (200, kept)
    assert after == ([200, 200], site.secret_id())
    assert kept != site.secret_id()
    assert balances(site) == [200, 401, 200, 200]


def test_requests_that_are_refused_together_read_vault_once(site: Site, program: str) -> None:
    """None of them fails, and Vault does not get what Vonage got."""
    log = site.folder / "audit.log"
    with serving(site, program, {"VONAGE_MAX_AGE": NEVER}) as service:
        assert service.status() == 200
        assert site.outcome("rotate-now", ACCOUNT, "--grace", "0s") == "completed"
        with site.server.audited(log), ThreadPoolExecutor(8) as threads:
            statuses = list(threads.map(lambda _: service.status(), range(24)))

    assert statuses == [200] * 24
    assert log.read_text().count(f'"path":"secret/data/{ENTRY}"') == 2, "a request, its answer"


def test_a_secret_that_is_refused_and_not_replaced_is_tried_once(site: Site, program: str) -> None:
    """The refusal is the caller's to see; Vonage is not asked again and again."""
    site.server.write(ENTRY, {**(site.server.data(ENTRY) or {}), "api_secret": "NotTheSecret1"})
    with serving(site, program, {"VONAGE_MAX_AGE": NEVER}) as service:
        assert service.status() == 401

    assert balances(site) == [401]


def test_a_new_secret_that_is_refused_is_replaced_by_the_previous_one(
    site: Site, program: str
) -> None:
    """With `previous_field`, while the old secret lives: not every server may know the new one."""
    # The account's table is the last one.
    site.config.write_text(f'{site.text}previous_field = "api_secret_previous"\n')
    assert site.outcome("rotate-now", ACCOUNT, "--grace", "1h") == "awaiting-deletion"
    site.world.vonage.revoke(site.account.api_key, site.secret_id())
    with serving(site, program, {"VONAGE_MAX_AGE": NEVER}) as service:
        assert [service.status() for _ in range(2)] == [200, 200]

    assert balances(site) == [401, 200] * 2


def test_the_old_secret_waits_until_the_service_reads_by_age(site: Site, program: str) -> None:
    """The gate of the page asks it: shut while the credential is kept, open once it is too old."""
    with serving(site, program, {"VONAGE_MAX_AGE": NEVER}) as service:
        site.hook("Code that reads anew on a 401", {"http://127.0.0.1:8080": service.url})
        assert service.status() == 200
        waiting = site.outcome("rotate-now", ACCOUNT, "--grace", "0s")
    with serving(site, program, {"VONAGE_MAX_AGE": "0"}) as service:
        site.hook("Code that reads anew on a 401", {"http://127.0.0.1:8080": service.url})
        done = site.outcome("resume")

    assert (waiting, done) == ("awaiting-deletion", "completed")


def test_the_old_secret_waits_until_a_reader_is_restarted(site: Site, program: str) -> None:
    """The gate of the audit log knows who has read the old version, and nothing else of it."""
    log = site.folder / "log"
    log.mkdir()
    # What is older than the time in question is in another file.
    (log / "audit.log.1").write_text('{"time":"2001-01-01T00:00:00Z"}\n')
    site.hook("Anything with a login of its own", {"/var/log/vault": str(log)})
    with site.server.audited(log / "audit.log"):
        with serving(site, program, {"VONAGE_MAX_AGE": NEVER}) as service:
            assert service.status() == 200
            waiting = site.outcome("rotate-now", ACCOUNT, "--grace", "0s")
        with serving(site, program, {"VONAGE_MAX_AGE": NEVER}) as service:
            assert service.status() == 200
            done = site.outcome("resume")

    assert (waiting, done) == ("awaiting-deletion", "completed")


def test_while_vault_is_away_the_service_goes_on_with_what_it_has(site: Site, program: str) -> None:
    """As where its token is no longer accepted; without a credential it answers 503."""
    token = site.place / "token"
    with serving(site, program, {"VONAGE_MAX_AGE": "0"}) as service:
        before = service.secret_id()
        token.write_text("not-a-token")
        assert (service.status(), service.secret_id()) == (200, before)
    with serving(site, program, {}) as service:
        assert service.status() == 503
        assert service.secret_id() is None


def test_the_token_follows_no_redirect(site: Site, program: str) -> None:
    """It would arrive at another host."""
    asked: list[str] = []

    class Redirecting(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(307)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Redirecting)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        address = f"http://127.0.0.1:{server.server_port}"
        with serving(site, program, {"VAULT_ADDR": address}) as service:
            assert service.secret_id() is None
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

    assert asked == [f"/v1/secret/data/{ENTRY}"]
