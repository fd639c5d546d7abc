"""The pages over real HTTP, on a ledger of the test's own."""

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import insert, text, update

from rotator.application import Application
from rotator.config import load
from rotator.errors import LedgerError
from rotator.ledger import tables
from rotator.ledger.daemons import DaemonRecord, Outage
from rotator.ledger.database import open_database, writing
from rotator.ledger.mapping import to_row, trouble_text
from rotator.model import GateWait, SecretValue, State, Step, Trouble
from rotator.model.convergence import Convergence
from rotator.model.notification import Event, PendingDelivery
from rotator.reporting.verification import row_hint
from rotator.rotation.ports import NewEntry
from rotator.telemetry.metrics import Metrics
from rotator.web.access import AccessControl
from rotator.web.app import Pulse, WebApp
from rotator.web.listener import ListenAddress, url_of
from rotator.web.server import Server
from tests.support.samples import rotation

NAMES = [f"account-{number:03}" for number in range(120)]
#: What an account's hold or drift may say, as far as the page is concerned.
HOSTILE = "<script>alert(1)</script>\"'&amp;"

pytestmark = pytest.mark.parametrize("kind", ["sqlite"])


def trouble(
    state: State = State.DRIFTED, why: str = "y", hint: str | None = None, **ago: float
) -> str:
    """Return what is wrong with an account, as its row has it."""
    since = datetime.now(UTC) - timedelta(**ago)
    return trouble_text(
        Trouble(state=state, code="foreign-secret", why=why, hint=hint, since=since)
    )


class Visitor:
    """A web application, and who looks at it."""

    def __init__(self, ledger_url: str, folder: Path) -> None:
        """Serve the accounts of `NAMES`, all of them well."""
        self.database = open_database(ledger_url)
        now = datetime.now(UTC)
        rows = [
            {
                "name": name,
                "listed_ids": json.dumps([f"{name}-id"]),
                "current_id": f"{name}-id",
                "current_since": now - timedelta(days=3),
                "seen_at": now,
                "next_due_at": now + timedelta(days=27),
            }
            for name in NAMES
        ]
        with writing(self.database) as connection:
            connection.execute(insert(tables.account), rows)
        config = folder / "config.toml"
        config.write_text(
            f'[vault]\naddress = "http://127.0.0.1:1"\n[ledger]\nurl = "{ledger_url}"\n'
            + "".join(
                f'[[accounts]]\nname = "{name}"\napi_key = "{number:08}"\nvault_path = "v/{name}"\n'
                for number, name in enumerate(NAMES)
            )
        )
        self.application = Application(load(config, {}), {})
        self.live, self.outages = True, dict[str, Outage]()
        pulse = Pulse(is_live=lambda: self.live, outages=lambda: self.outages)
        self.web = WebApp(metrics=Metrics("1"), pulse=pulse, version="1.2.3")
        self.web.show(self.application)
        address = ListenAddress(text="127.0.0.1:0")
        listening = address.listen()
        self.access = AccessControl(self.web.app, address=address, token=None)
        self.server = Server(self.access, listening)
        self.server.start()
        self.client = httpx.Client(base_url=url_of(listening), timeout=60)

    def close(self) -> None:
        """Leave, and end the server."""
        self.client.close()
        self.server.stop()
        assert self.server.join(time.monotonic() + 60)
        self.application.close()
        self.database.dispose()

    def change(self, name: str, **values: Any) -> None:  # noqa: ANN401  # of the table
        """Change an account's row."""
        change = update(tables.account).where(tables.account.c.name == name)
        with writing(self.database) as connection:
            connection.execute(change.values(**values))

    def get(self, path: str, **headers: str) -> httpx.Response:
        """Ask."""
        return self.client.get(path, headers=headers)


@pytest.fixture
def visitor(ledger_url: str, tmp_path: Path) -> Iterator[Visitor]:
    """Yield a visitor of a page with 120 accounts."""
    made = Visitor(ledger_url, tmp_path)
    yield made
    made.close()


def test_the_first_page_has_the_worst_and_a_way_to_the_others(visitor: Visitor) -> None:
    """Fifty accounts a page, those that need attention first."""
    visitor.change(NAMES[-1], trouble=trouble(why="somebody was here"))
    first, last = visitor.get("/").text, visitor.get("/?page=3").text

    assert first.index(NAMES[-1]) < first.index(NAMES[1])
    assert "somebody was here" in first
    assert "page 1 of 3" in first
    assert NAMES[60] not in first
    assert NAMES[118] in last
    assert "page=2" in first


def test_a_search_keeps_its_filter_from_page_to_page(visitor: Visitor) -> None:
    """What was asked for is in the form and in the links."""
    page = visitor.get("/?q=account-0&state=healthy").text

    assert "100 found" in page
    assert 'value="account-0"' in page
    assert "?q=account-0&amp;state=healthy&amp;page=2" in page


@pytest.mark.parametrize("path", ["/", f"/accounts/{NAMES[0]}", "/accounts/nobody", "/metrics"])
def test_every_answer_is_guarded(visitor: Visitor, path: str) -> None:
    """Nothing from elsewhere, nothing inline, nobody frames it, nothing is kept."""
    answer = visitor.get(path)
    policy = answer.headers["Content-Security-Policy"]

    assert policy.startswith("default-src 'none'; style-src 'self'")
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "server" not in answer.headers
    assert "<script" not in answer.text
    assert " style=" not in answer.text


@pytest.mark.parametrize(
    ("path", "host", "status"),
    [("/", "evil.example.com", 421), ("/", "localhost", 401), ("/healthz", "10.1.2.3", 200)],
)
def test_answers_of_the_guard_are_guarded_as_well(
    visitor: Visitor, path: str, host: str, status: int
) -> None:
    """What is answered in the place of a page is shown by the same browsers."""
    visitor.access.token = SecretValue("0123456789abcdef")
    answer = visitor.get(path, Host=host)

    assert answer.status_code == status
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"


def test_cause_and_cure_are_on_both_pages(visitor: Visitor) -> None:
    """State, code, cause, beginning, tries, next try and the cure, whose commands are set apart."""
    visitor.change(
        NAMES[7],
        trouble=trouble(
            State.BROKEN, "Vonage refuses it", "`vault kv rollback -version=3 v` helps", hours=2
        ),
        failures=3,
        retry_at=datetime.now(UTC) + timedelta(minutes=5),
    )
    pages = [visitor.get(path).text for path in ("/", f"/accounts/{NAMES[7]}")]
    document = visitor.get("/api/status").json()["accounts"][7]

    assert "(1 broken) 1 of 120 need attention" in pages[0]
    assert f"{NAMES[7]}: broken" in pages[1]
    for page in pages:
        assert 'class="badge is-broken"' in page
        assert '<span class="why">Vonage refuses it</span>' in page
        assert "<code>foreign-secret</code>, since" in page
        assert "(2h)" in page
        assert "3 tries in a row failed; next try in " in page
        assert "<code>vault kv rollback -version=3 v</code> helps" in page
        assert "icon-broken.svg" in page
    assert document["state"] == "broken"
    assert document["hint"] == "`vault kv rollback -version=3 v` helps"


def test_further_troubles_are_told_by_their_state(visitor: Visitor) -> None:
    """The cure of each is on the account's page; the overview has that of the first."""
    long_ago = datetime.now(UTC) - timedelta(days=50)
    broken = trouble(State.BROKEN, hint="roll it back")
    visitor.change(NAMES[0], trouble=broken, current_since=long_ago)
    first, own = visitor.get("/").text, visitor.get(f"/accounts/{NAMES[0]}").text

    for page in (first, own):
        assert "the secret is older than max_age 45d" in page
        assert "roll it back" in page
    assert first.count("What to do:") == 1
    assert own.count("What to do:") == 2
    assert visitor.get("/?state=overdue").text.count('class="who"') == 1


def test_states_are_explained(visitor: Visitor) -> None:
    """On a page that does not come again by itself: each in the words that all surfaces have."""
    answer = visitor.get("/states")
    shown = unescape(re.sub(r"</?code>", "`", answer.text))

    assert "Refresh" not in answer.headers
    for state in State:
        assert f"<dd>{state.meaning}</dd>" in shown
        assert f'<option value="{state.value}">' in visitor.get("/").text


def test_what_the_ledger_holds_is_text(visitor: Visitor) -> None:
    """Markup in a hold or a search is shown as it was written."""
    misleading = f"{HOSTILE}\x1b[31m\x9b\u202e\u2066\u200b\ufeff"
    visitor.change(NAMES[0], hold_reason=misleading, held_by="x", trouble=trouble(why=misleading))
    status = visitor.get("/api/status")
    for path in ("/", f"/accounts/{NAMES[0]}", f"/?q={HOSTILE}"):
        page = visitor.get(path).text

        assert "<script" not in page
        assert "&lt;script&gt;alert(1)" in page
        assert all(line.isprintable() for line in page.split("\n"))
    assert status.text.isprintable()
    assert status.json()["accounts"][0]["hold"]["reason"] == misleading


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("path", ["/", "/api/status", "/metrics"])
def test_it_can_only_be_read(visitor: Visitor, method: str, path: str) -> None:
    """No method changes anything."""
    assert visitor.client.request(method, path).status_code == 405


def test_head_is_answered(visitor: Visitor) -> None:
    """As GET, without the body."""
    answer = visitor.client.head("/healthz")

    assert (answer.status_code, answer.content) == (200, b"")


def test_a_name_that_was_pointed_here_is_turned_away(visitor: Visitor) -> None:
    """A page on the web that has its name resolve to this machine reads nothing."""
    answer = visitor.get("/", Host="evil.example.com")

    assert answer.status_code == 421
    assert NAMES[0] not in answer.text
    assert "daemon.allowed_hosts" in answer.text


def test_an_allowed_name_is_answered(visitor: Visitor) -> None:
    """As that of a proxy which passes on the name that it was asked by; it may change."""
    asked = {"Host": "rotator.example.com:443"}
    before = visitor.get("/", **asked).status_code
    visitor.access.allowed_hosts = ("rotator.example.com",)

    assert (before, visitor.get("/", **asked).status_code) == (421, 200)
    assert visitor.get("/", Host="evil.example.com").status_code == 421


def test_who_shows_the_token_may_ask_by_any_name(visitor: Visitor) -> None:
    """Prometheus by a service's name, say; a page that was led here does not know the token."""
    visitor.access.token = SecretValue("0123456789abcdef")
    visitor.access.allowed_hosts = ("rotator.example.com",)
    shown = {"Authorization": "Bearer 0123456789abcdef"}
    wrong = {"Authorization": "Bearer 0123456789abcdee"}

    assert visitor.get("/metrics", Host="rotator.monitoring.svc:9470", **shown).status_code == 200
    assert visitor.get("/metrics", Host="rotator.monitoring.svc:9470", **wrong).status_code == 421
    assert visitor.get("/metrics", Host="rotator.monitoring.svc:9470").status_code == 421
    # Asked for it, as a browser has to be.
    assert visitor.get("/", Host="rotator.example.com").status_code == 401


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("", 401),
        ("Bearer 0123456789abcdef", 200),
        ("bearer 0123456789abcdef", 200),
        ("Bearer 0123456789abcde", 401),
        ("Basic eDowMTIzNDU2Nzg5YWJjZGVm", 200),  # x:0123456789abcdef
        ("Basic MDEyMzQ1Njc4OWFiY2RlZg==", 401),  # no user, and so no password
        ("Basic ***", 401),
        ("Digest 0123456789abcdef", 401),
        ("Bearer ü", 401),
    ],
)
def test_a_token_is_asked_for_where_there_is_one(
    visitor: Visitor, header: str, status: int
) -> None:
    """As bearer, or as the password that a browser asks its user for."""
    visitor.access.token = SecretValue("0123456789abcdef")
    headers = [("Authorization", header.encode())] if header else []
    answer = visitor.client.get("/", headers=headers)  # type: ignore[arg-type]  # bytes are sent as they are

    assert answer.status_code == status
    assert ("WWW-Authenticate" in answer.headers) == (status == 401)


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_a_probe_needs_no_token_and_no_name(visitor: Visitor, path: str) -> None:
    """As the kubelet sends it, by the pod's address; whatever else is at that path is refused."""
    visitor.access.token = SecretValue("0123456789abcdef")
    by_address, hostile = {"Host": "10.1.2.3:9470"}, {"Host": "evil.example.com"}
    expected = 200 if path == "/healthz" else 503

    assert visitor.get(path).status_code == expected
    assert visitor.get(path, **by_address).status_code == expected
    assert visitor.get(path, **hostile).status_code == expected
    assert visitor.client.head(path, headers=by_address).status_code == expected
    assert visitor.client.post(path).status_code == 401
    assert visitor.client.post(path, headers=hostile).status_code == 421
    assert visitor.get(f"{path}/").status_code == 401
    assert visitor.get(f"{path}/x", **hostile).status_code == 421


def test_a_probe_shows_only_which_component_is_unusable(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A code for each: no address, path or account, and no outage as the pages have it."""
    visitor.outages["vault"] = sealed()
    with writing(visitor.database) as connection:
        connection.execute(text("ALTER TABLE account RENAME TO elsewhere"))
    answer = visitor.get("/readyz")
    unforeseen: Callable[[], object] = lambda: 1 / 0  # noqa: E731
    monkeypatch.setattr(visitor.web._data, "readiness", unforeseen)
    failed = visitor.get("/readyz")

    assert answer.json() == {
        "ready": False,
        "ledger": "ledger-unavailable",
        "vault": "vault-not-ready",
    }
    assert failed.status_code == 500
    assert "Vault" not in failed.text


def test_a_ledger_that_cannot_be_opened_is_a_code_as_well(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening it is part of the check, and its error has the database's address."""

    def fail(_ledger: object) -> object:
        message = "postgresql://ledger.internal cannot be reached"
        raise LedgerError(message)

    monkeypatch.setattr(type(visitor.application.ledger), "page_reader", property(fail))

    assert visitor.get("/readyz").json()["ledger"] == "ledger-unavailable"


def test_a_page_comes_again_by_itself_unless_it_is_paused(visitor: Visitor) -> None:
    """By a header, which can be left out; with its filter, and without jumping to a part of it."""
    address = "/?q=a%3B%22&state=held&page=1"

    assert visitor.get("/").headers["Refresh"] == "30; url=/"
    assert visitor.get(address).headers["Refresh"] == f"30; url={address}"
    assert "Refresh" not in visitor.get("/?paused=1").headers
    assert "Refresh" not in visitor.get("/accounts/nobody").headers


@pytest.mark.parametrize("path", ["/nothing", "/accounts/nobody", "/static/nothing", "/accounts/"])
def test_what_is_not_there_is_said_so(visitor: Visitor, path: str) -> None:
    """On a page that leads back."""
    answer = visitor.get(path)

    assert answer.status_code == 404
    assert "there is no such page" in answer.text
    assert 'href="/"' in answer.text


def test_without_the_ledger_a_page_says_so(visitor: Visitor) -> None:
    """With a hint, and no traceback; documents say it as documents."""
    with writing(visitor.database) as connection:
        connection.execute(text("ALTER TABLE account RENAME TO elsewhere"))
    page, document = visitor.get("/"), visitor.get("/api/status")

    assert page.status_code == document.status_code == 503
    assert "ledger.db cannot be read or written" in page.text
    assert "nothing more is done until the ledger is back" in page.text
    assert document.json()["error"]["code"] == "ledger-unavailable"
    assert visitor.get("/readyz").json()["ledger"] == "ledger-unavailable"


def test_an_unforeseen_error_is_no_traceback(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page says that it could not be rendered, and nothing of why."""
    unforeseen: Callable[[], object] = lambda: 1 / 0  # noqa: E731
    monkeypatch.setattr(visitor.web._data, "summaries", unforeseen)
    answer = visitor.get("/")

    assert answer.status_code == 500
    assert "ZeroDivision" not in answer.text
    assert "Traceback" not in answer.text


def test_a_scheduler_that_stands_still_is_told(visitor: Visitor) -> None:
    """Whoever starts the process again should."""
    assert visitor.get("/healthz").status_code == 200
    visitor.live = False

    assert visitor.get("/healthz").status_code == 503
    assert "This daemon does not work" in visitor.get("/").text


def sealed() -> Outage:
    """Return an outage of Vault."""
    since = datetime.now(UTC) - timedelta(hours=2)
    hint = "`vault operator unseal` on its host"
    return Outage(code="vault-sealed", why="Vault is sealed", hint=hint, since=since)


def test_an_outage_is_on_every_page(visitor: Visitor) -> None:
    """What, why, since when and the cure; on the page of an error, too."""
    paths = ("/", f"/accounts/{NAMES[0]}", "/accounts/nobody")
    before = [visitor.get(path).text for path in paths]
    visitor.outages["vault"] = sealed()
    during = [visitor.get(path).text for path in paths]

    assert not any("Vault cannot be used" in page for page in before)
    for page in during:
        assert (
            "<b>Vault cannot be used:</b> Vault is sealed <code>vault-sealed</code>, since " in page
        )
        assert "(2h)" in page
        assert "<code>vault operator unseal</code> on its host" in page
    assert "<title>Vault cannot be used · " in during[0]


def test_it_is_told_when_daemons_polled(visitor: Visitor) -> None:
    """The last one at the top, each on the first page, with what it cannot use."""
    now = datetime.now(UTC)
    before = visitor.get("/").text
    for host, ago, outages in (("host-b", 90, {}), ("host-a", 12, {"vault": sealed()})):
        polled_at = now - timedelta(seconds=ago)
        visitor.application.ledger.daemons.begin(
            DaemonRecord(
                host=host,
                version="1.2.3",
                started_at=polled_at,
                polled_at=polled_at,
                poll_seconds=60,
                known_outages=outages,
            )
        )
    first, own = visitor.get("/").text, visitor.get(f"/accounts/{NAMES[0]}").text

    assert "no daemon has polled yet" in before
    for page in (first, own):
        assert re.search(r"last poll \d+s ago by host-a<", page)
        assert re.search(r"Vault is sealed <code>vault-sealed</code>, since .*, at host-a<", page)
    assert re.search(r"<b>host-b</b> .*last polled 1m ago, every 60 s<", first)
    assert "All 120 accounts were well when last looked at</h1>" in first


def test_a_dead_fleet_is_seen(visitor: Visitor) -> None:
    """Accounts that nobody works on are not said to be well; what was found out is outdated."""
    long_ago = datetime.now(UTC) - timedelta(hours=3)
    record = DaemonRecord(
        host="host-a", version="1", started_at=long_ago, polled_at=long_ago, poll_seconds=15
    )
    visitor.application.ledger.daemons.begin(record)
    page = visitor.get("/").text

    assert "<b>No daemon is at work:</b> no daemon has polled since" in page
    assert "<code>systemctl status rotator.service</code>" in page
    assert "All 120 accounts were well at the last poll" in page
    assert "silent: last polled 3h" in page


def test_vault_is_not_asked_by_each_probe(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was found out is good for a few seconds."""
    asked: list[int] = []
    monkeypatch.setattr(visitor.application.clients.store, "check", lambda **_: asked.append(1))
    answers = [visitor.get("/readyz").status_code for _ in range(3)]

    assert answers == [200] * 3
    assert len(asked) == 1


def test_files_are_kept_by_browsers(visitor: Visitor) -> None:
    """Their names change with their content."""
    page = visitor.get("/").text
    path = next(part for part in page.split('"') if part.startswith("/static/style.css?v="))
    answer = visitor.get(path)

    assert answer.headers["Content-Type"] == "text/css; charset=utf-8"
    assert "immutable" in answer.headers["Cache-Control"]


def test_what_hooks_were_not_told_is_on_the_account_s_page(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each with its event, its tries and its reason; and in the document as `status` has it."""
    failing = PendingDelivery(
        account=NAMES[0],
        hook="chat",
        event=Event.PUSHED,
        since=datetime.now(UTC),
        attempts=2,
        reason="answered 500",
        next_try_at=datetime.now(UTC),
    )
    monkeypatch.setattr(
        visitor.application.ledger, "pending_deliveries", lambda **_: {NAMES[0]: (failing,)}
    )
    page = visitor.get(f"/accounts/{NAMES[0]}").text
    document = visitor.get("/api/status").json()["accounts"][0]
    first = visitor.get("/").text
    late = replace(failing, since=datetime.now(UTC) - timedelta(hours=2))
    monkeypatch.setattr(
        visitor.application.ledger, "pending_deliveries", lambda **_: {NAMES[0]: (late,)}
    )

    for path in ("/", f"/accounts/{NAMES[0]}"):
        cure = "<code>rotator hooks test chat</code> shows what it answers"
        assert cure in visitor.get(path).text
        assert cure not in page
    assert "Pending hook deliveries" in page
    assert "tried 2 times: answered 500" in page
    assert "hook chat fails" in first
    assert document["undelivered"][0]["hook"] == "chat"


def test_it_is_shown_how_many_consumers_use_the_new_secret(visitor: Visitor) -> None:
    """Beside the gate that is waited for, and by name; in the document as `status` has it."""
    now = datetime.now(UTC)
    opened = rotation(
        account=NAMES[0],
        step=Step.WAIT,
        opened_at=now,
        verified_at=now - timedelta(minutes=5),
        grace=timedelta(),
        waiting=GateWait(
            gate="g",
            reason="exit status 1",
            shut_since=now,
            retry_at=now + timedelta(minutes=1),
            convergence=Convergence(consumers=7, converged=3, behind=("a<b", "c")),
        ),
    )
    with writing(visitor.database) as connection:
        connection.execute(insert(tables.rotation), to_row(opened))
    # As a commit renews the lease.
    visitor.change(NAMES[0], fencing_token=1)
    first = visitor.get(f"/?q={NAMES[0]}").text
    page = visitor.get(f"/accounts/{NAMES[0]}").text
    gate = visitor.get("/api/status").json()["accounts"][0]["gate"]

    assert "3 of 7 consumers use the new secret; not yet: a&lt;b, c and 2 more" in page
    assert "waits for gate g (3 of 7 consumers)" in page
    assert "waits for gate g (3 of 7 consumers)" in first
    assert (gate["consumers"], gate["converged"], gate["behind"]) == (7, 3, ["a<b", "c"])


def test_an_orphan_is_no_foreign_secret(visitor: Visitor) -> None:
    """A page calls a secret what `secrets list` and `doctor` call it."""
    now = datetime.now(UTC)
    undone = {
        "account": NAMES[0],
        "id": "r1",
        "reason": "due",
        "step": "abort",
        "new_id": "orphan",
        "grace_seconds": 0,
        "draws": 1,
        "rejected": 0,
        "opened_at": now,
        "closed_at": now,
        "outcome": "failed",
    }
    with writing(visitor.database) as connection:
        connection.execute(insert(tables.rotation), [undone])
    visitor.change(NAMES[0], listed_ids=json.dumps([f"{NAMES[0]}-id", "orphan"]))
    visitor.change(NAMES[1], listed_ids=json.dumps([f"{NAMES[1]}-id", "stranger"]))
    pages = [visitor.get(f"/accounts/{name}").text for name in NAMES[:2]]

    assert '<span class="slot-kind">expendable</span><code>orphan</code>' in pages[0]
    assert '<span class="slot-kind">foreign</span><code>stranger</code>' in pages[1]


def test_a_history_is_read_page_by_page(visitor: Visitor) -> None:
    """An account's newest entries first, then the older ones."""
    rows = [
        {
            "account": NAMES[0],
            "seq": seq,
            "at": "2026-11-23T07:28:00.000000Z",
            "event": "done",
            "detail": f'{{"secret_id":"id-{seq}"}}',
            "prev_hash": "0" * 64,
            "hash": "0" * 64,
        }
        for seq in range(1, 62)
    ]
    with writing(visitor.database) as connection:
        connection.execute(insert(tables.entry), rows)
    newest = visitor.get(f"/accounts/{NAMES[0]}").text
    older = visitor.get(f"/accounts/{NAMES[0]}?before=12").text

    assert "secret_id=id-61" in newest
    assert "secret_id=id-12<" in newest
    assert "secret_id=id-11<" not in newest
    assert "?before=12" in newest
    assert "secret_id=id-11<" in older
    assert "older" not in older
    assert "the chain is broken: entry 1 was changed" in newest


def test_a_page_tells_of_rows_that_do_not_match(visitor: Visitor) -> None:
    """In the words of `ledger verify`, and with its cure; the chain is whole all the same."""
    path = f"/accounts/{NAMES[0]}"
    before = visitor.get(path).text
    visitor.change(NAMES[0], hold_reason="because", held_by="eve")
    held = visitor.get(path).text
    visitor.change(NAMES[0], hold_reason=None, next_due_at=datetime(2099, 1, 1, tzinfo=UTC))
    put_off = visitor.get(path).text

    assert "the chain is whole, the rows match" in before
    assert "the chain is whole, the rows do not match" in held
    assert "says that it is held: because (eve), and the entries say that nobody holds it" in held
    assert "its row has it due at 2099-01-01 00:00:00 UTC" in put_off
    for page, is_bad in ((before, False), (held, True), (put_off, True)):
        assert (row_hint(NAMES[0]) in unescape(page)) is is_bad


def test_pages_take_no_connection_of_a_rotation(visitor: Visitor) -> None:
    """They are answered while passes have every connection of theirs, and the other way round."""
    passes, pages = visitor.application.ledger.database, visitor.application.ledger._pages_database
    paths = ("/", f"/accounts/{NAMES[0]}", "/api/status", "/metrics", "/readyz")
    with ExitStack() as taken:
        for _ in range(15):
            taken.enter_context(passes.connect())
        assert [visitor.get(path).status_code for path in paths[:-1]] == [200] * 4
        assert visitor.get(paths[-1]).json()["ledger"] == "ok"
    with ExitStack() as taken:
        for _ in range(15):
            taken.enter_context(pages.connect())
        writer = visitor.application.ledger.writer
        lease = writer.claim(NAMES[0], datetime.now(UTC))
        writer.release(lease)


def test_of_a_long_record_the_end_is_checked(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the page says so."""
    monkeypatch.setattr("rotator.web.app.CHECKED", 2)
    writer = visitor.application.ledger.writer
    lease = writer.claim(NAMES[0], datetime.now(UTC))
    entries = [NewEntry(event="done", step=None, detail={"n": number}) for number in range(3)]
    writer.commit(
        lease, rotation=None, entries=entries, snapshot=None, now=datetime.now(UTC), last=True
    )

    assert "3 entries, the newest 2 are whole" in visitor.get(f"/accounts/{NAMES[0]}").text
