"""The pictures of the documentation: a fleet on the page, and one account of it."""

from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from rotator.sim import SimAccount
from tests.acceptance.service import Service, until
from tests.browser.conftest import SCREENSHOTS, Serve
from tests.support.seeded_ledger import SeededLedger

pytestmark = pytest.mark.browser

DAY = timedelta(days=1)
#: How old the secret of each account is; one of more than 30 days is rotated at once.
AGES = {
    "support-desk": 26,
    "numbers-api": 44,
    "billing-alerts": 20,
    "sms-prod": 31,
    "sms-emea": 33,
    "verify-prod": 32,
    "marketing": 4,
    "sip-trunks": 11,
    "sms-staging": 17,
    "voice-fallback": 23,
}
SIZE = {"width": 1120, "height": 820}


def fleet(run: Service) -> None:
    """Fill the world: one account is broken, one refused, one held, three wait, four are well."""
    world, now = run.world, datetime.now(UTC)
    past = SeededLedger(run.database)
    for number, (name, days) in enumerate(AGES.items()):
        key, value = f"{0x35E28BDE + number * 0x1B7C3A5:08x}", f"Present0SecretOf{number:02d}x"
        world.vonage.add_account(key, value, created_at=now - days * DAY, name=name)
        world.vault.write(f"vonage/{name}", {"api_key": key, "api_secret": value})
        world.accounts.append(
            SimAccount(name=name, api_key=key, api_secret=value, vault_path=f"vonage/{name}")
        )
        current = world.vonage.secrets(key)[0].id
        past.rotated(name, now - (days + 31) * DAY, f"oldest-{number}", f"older-{number}")
        past.rotated(name, now - days * DAY, f"older-{number}", current)
    run.configure(grace="24h", jitter="0s")
    run.run("adopt", "--all", "--from-vault")
    [refused] = [each for each in world.accounts if each.name == "numbers-api"]
    world.vonage.add_secret(refused.api_key, "Foreign0SecretOfSomebody", created_at=now - 2 * DAY)
    run.run("status", "--refresh")
    reason = "moving consumers to the new region"
    run.run("hold", "billing-alerts", "--reason", reason, "--actor", "ann")


def shown(page: Page, name: str) -> None:
    """Keep a picture of what a window shows without scrolling."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.set_viewport_size(SIZE)  # type: ignore[arg-type]  # as documented
    page.screenshot(path=SCREENSHOTS / f"{name}.png")


def test_the_pictures_of_the_documentation(serve: Serve) -> None:
    """What README and the page on the service show is what the page shows of such a fleet."""
    visit = serve(accounts=0, prepare=fleet)
    broken = visit.run.world.accounts[0]
    entry = visit.run.world.vault.read(broken.vault_path) or {}
    until(lambda: sum(visit.run.made().values()) == 3 + 1)
    visit.run.world.vault.write(broken.vault_path, entry | {"api_secret": "By0HandByxSomebodyxxxx"})
    visit.mends.append(lambda: visit.run.world.vault.write(broken.vault_path, entry))
    visit.run.run("status", "--refresh")

    page = visit.open("/?paused=1")
    expect(page.locator("h1")).to_have_text("1 broken, 3 of 10 accounts need attention")
    shown(page, "docs-status")
    page = visit.open("/accounts/sms-prod?paused=1", color_scheme="dark")
    expect(page.get_by_role("heading", name="Open rotation")).to_be_visible()
    shown(page, "docs-account")
