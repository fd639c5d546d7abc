"""The status page as people see it, with a keyboard, on a phone, and by a screen reader."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Page, expect

from rotator.ledger.daemons import DaemonRecord, Daemons, Outage
from rotator.ledger.writer import LedgerWriter
from tests.acceptance.service import Service, until
from tests.browser.conftest import AXE, Serve, Visit, picture, problems

if TYPE_CHECKING:
    from rotator.rotation.ports import Lease

pytestmark = pytest.mark.browser


def seen(run: Service) -> None:
    """Refresh every account's status."""
    assert run.run("status", "--refresh").returncode == 0


def broken(visit: Visit) -> None:
    """Change the first account's value in Vault as an outsider, and let rotator look at it."""
    path = visit.run.world.accounts[0].vault_path
    entry = visit.run.world.vault.read(path) or {}
    visit.run.world.vault.write(path, entry | {"api_secret": "Another0ValueByHandxxxxxx"})
    visit.mends.append(lambda: visit.run.world.vault.write(path, entry))
    visit.run.run("status", "--refresh")


def sealed_elsewhere(visit: Visit) -> None:
    """Let the daemon of another machine record that its Vault is sealed."""
    now = datetime.now(UTC)
    outage = Outage(
        code="vault-sealed", why="Vault is sealed", hint="`vault operator unseal` helps", since=now
    )
    Daemons(visit.run.database).begin(
        DaemonRecord(
            host="elsewhere.example.com",
            version="1",
            started_at=now,
            polled_at=now,
            poll_seconds=600,
            known_outages={"vault": outage},
        )
    )


def settle(visit: Visit) -> None:
    """Make Vonage accept everything that was created, as it does after a while."""
    vonage = visit.run.world.vonage
    vonage.propagation = 0
    for account in vonage._accounts.values():
        account.secrets = [replace(each, active_from=each.created_at) for each in account.secrets]


def test_a_rotation_is_watched_from_due_to_complete(serve: Serve) -> None:
    """One window that nobody touches shows it due, then its steps with times, then the end.

    It stays where it was, with its filter, also where a link has led to the list.
    """
    leases: list[Lease] = []

    def elsewhere(run: Service) -> LedgerWriter:
        return LedgerWriter(run.database, lease_seconds=600, owner="elsewhere")

    def due_but_busy(run: Service) -> None:
        seen(run)
        leases.append(elsewhere(run).claim("account-1", datetime.now(UTC)))

    age = timedelta(days=30, minutes=1)
    visit = serve(age=age, prepare=due_but_busy, propagation=3600.0)
    page = visit.open("/?q=account-1#accounts")
    page.set_viewport_size({"width": 1280, "height": 400})
    page.evaluate("scrollTo(0, 200)")
    row = page.get_by_role("row").filter(has_text="account-1")
    expect(row.locator(".badge")).to_have_text("due")
    picture(page, "rotation-1-due")
    elsewhere(visit.run).release(leases[0])

    expect(row.locator(".badge")).to_have_text("rotating")
    expect(row.locator(".step.is-done", has_text="create")).to_contain_text(":")
    expect(row.locator("[aria-current=step]")).to_contain_text("probe")
    expect(page.get_by_label("Name, API key")).to_have_value("account-1")
    assert page.evaluate("scrollY") > 100
    picture(page, "rotation-2-rotating")
    settle(visit)
    expect(row.locator(".badge")).to_have_text("healthy")
    expect(page.locator("h1")).to_have_text("The account is well")
    picture(page, "rotation-3-complete")
    page.get_by_role("link", name="account-1").first.click()
    expect(page.get_by_text("the chain is whole")).to_be_visible()
    picture(page, "account")


def test_thousands_are_searched_and_paged(serve: Serve) -> None:
    """What is typed is found; pages follow each other and keep what was asked for."""
    visit = serve(accounts=120, prepare=seen)
    page = visit.open()
    expect(page.get_by_text("page 1 of 3")).to_be_visible()
    page.get_by_role("link", name="next").click()
    expect(page.get_by_text("page 2 of 3")).to_be_visible()
    picture(page, "page-2")
    page.get_by_label("Name, API key, Vault path or secret id").fill("account-11")
    page.keyboard.press("Enter")

    expect(page.get_by_text("11 found")).to_be_visible()
    names = page.locator(".who a").all_inner_texts()
    assert set(names) == {"account-11", *(f"account-11{number}" for number in range(10))}
    page.get_by_label("State", exact=True).select_option("drifted")
    page.get_by_role("button", name="Find").click()
    expect(page.get_by_text("0 found")).to_be_visible()
    page.get_by_role("link", name="show all").click()
    expect(page.get_by_text("page 1 of 3")).to_be_visible()


def test_broken_is_an_alert_at_the_top(serve: Serve) -> None:
    """An account whose consumers have no working secret comes first, and says what to do."""
    visit = serve(accounts=3, prepare=seen)
    page = visit.open()
    expect(page.locator("h1")).to_have_text("All 3 accounts are well")
    broken(visit)
    page.reload()

    expect(page.locator("h1")).to_have_text("1 broken, 1 of 3 accounts needs attention")
    first = page.locator(".accounts .row:not(.header)").first
    expect(first.locator(".badge")).to_have_text("broken")
    why = "Vonage refuses the value that Vault holds: consumers read a secret that does not work"
    expect(first.locator(".why")).to_have_text(why)
    expect(first.locator(".hint code").first).to_contain_text("vault kv rollback")
    page.get_by_role("link", name="broken").click()
    expect(page.get_by_text("1 found")).to_be_visible()
    assert page.title() == "(1 broken) 1 of 3 need attention · rotator"
    expect(page.locator(".polled")).to_contain_text(re.compile(r"last poll \d+s ago by "))
    picture(page, "broken")
    sealed_elsewhere(visit)
    page.reload()
    expect(page.get_by_role("status").filter(has_text="Vault cannot be used")).to_contain_text(
        re.compile(r"sealed vault-sealed, since \d.*, at elsewhere.*What to do: ", re.DOTALL)
    )
    picture(page, "outage")


def test_it_follows_the_theme_of_the_desktop(serve: Serve) -> None:
    """Dark where that is wanted, light elsewhere."""
    visit = serve(accounts=3, prepare=seen)
    broken(visit)
    grounds = {}
    for scheme in ("light", "dark"):
        page = visit.open(color_scheme=scheme)
        grounds[scheme] = page.evaluate("getComputedStyle(document.body).backgroundColor")
        picture(page, scheme)

    assert grounds == {"light": "rgb(244, 245, 248)", "dark": "rgb(14, 17, 23)"}


@pytest.mark.parametrize("width", [320, 390])
def test_it_fits_a_phone(serve: Serve, width: int) -> None:
    """On a phone nothing is cut off, and nothing has to be moved sideways, the history included."""
    visit = serve(accounts=3, age=timedelta(days=40))
    until(visit.run.are_done)
    broken(visit)
    for name, path in (("index", "/"), ("account", "/accounts/account-2"), ("error", "/nothing")):
        page = visit.open(path, width=width) if name != "error" else _error_page(visit, width)
        picture(page, f"phone-{width}-{name}")

        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        assert page.evaluate(CUT_OFF) == [], name


#: What shows a text that does not fit into its box, or reaches beyond the window.
CUT_OFF = """
Array.from(document.querySelectorAll("main *:not(select, option, svg *)")).filter(each => {
  const box = each.getBoundingClientRect();
  if (each.closest(".unseen, thead") || box.width <= 1) return false;
  const hides = getComputedStyle(each).overflowX !== "visible";
  return box.right > innerWidth || box.left < 0 || hides && each.scrollWidth > each.clientWidth;
}).map(each => each.outerHTML.slice(0, 200))
"""


def test_a_keyboard_is_enough(serve: Serve) -> None:
    """The first stop leads past the header; links and the form are reached in their order."""
    visit = serve(prepare=seen)
    page = visit.open("/?paused=1")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "account-1":
            break
    page.keyboard.press("Enter")

    expect(page).to_have_url(f"{visit.url}/accounts/account-1")


@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not there: make build/axe/axe.min.js")
def test_it_is_accessible(serve: Serve) -> None:
    """Axe finds nothing to complain of, on any page, in both themes, and on a phone."""
    visit = serve(accounts=3, age=timedelta(days=40), prepare=_with_grace)
    until(lambda: visit.run.outcomes() == {"None": 3})
    until(
        lambda: all(
            each.last_rotation and each.last_rotation.verified_at for each in visit.run.records()
        )
    )
    broken(visit)
    sealed_elsewhere(visit)
    shown = ("/", "/accounts/account-1")
    views: list[tuple[dict[str, Any], tuple[str, ...]]] = [
        ({"color_scheme": "light"}, (*shown, "/?q=nothing", "/accounts/account-2", "/states")),
        ({"color_scheme": "dark"}, (*shown, "/states")),
        ({"color_scheme": "light", "width": 360}, shown),
    ]
    found = [
        (path, view, problem)
        for view, paths in views
        for path in paths
        for problem in problems(visit.open(path, **view))
    ]

    assert not found


def _with_grace(run: Service) -> None:
    run.configure(grace="24h", jitter="0s")


def _error_page(visit: Visit, width: int) -> Page:
    """Open a page that is not there, of which the browser itself complains."""
    page = visit.open("/nothing", width=width)
    visit.complaints.clear()
    return page
