from dataclasses import replace
from datetime import UTC, datetime, timedelta

from rotator.ledger.daemons import DaemonRecord, Outage
from rotator.web.daemons import Banner, DaemonsView, daemons_view, own_banners

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SEALED = Outage(code="vault-sealed", why="Vault is sealed", hint="unseal it", since=NOW - MINUTE)
REFUSED = Outage(code="config", why="'3x' is no duration", hint=None, since=NOW)
VAULT = Banner(
    title="Vault cannot be used",
    code="vault-sealed",
    why="Vault is sealed",
    hint="unseal it",
    since=NOW - MINUTE,
)


def record(host: str, *, ago: timedelta = timedelta(seconds=4), **outages: Outage) -> DaemonRecord:
    """Return a daemon that polls every fifteen seconds, the last time so long ago."""
    return DaemonRecord(
        host=host,
        version="1",
        started_at=NOW - 9 * MINUTE,
        polled_at=NOW - ago,
        poll_seconds=15,
        known_outages=outages,
    )


def view(*records: DaemonRecord, is_live: bool = True, **own: Outage) -> DaemonsView:
    """Return what is said of these daemons by the page of one that works."""
    return daemons_view(records, own, is_live=is_live, now=NOW)


def test_daemons_that_are_well_need_no_banner() -> None:
    """The one that polled last comes first."""
    found = view(record("a", ago=MINUTE / 4), record("b"))

    assert [each.host for each in found.records] == ["b", "a"]
    assert not found.banners
    assert not found.is_silent


def test_an_outage_has_one_banner_however_many_daemons_have_it() -> None:
    """With its first beginning, and with their names where there are several."""
    later = replace(SEALED, since=NOW)

    assert view(record("a", vault=SEALED)).banners == (VAULT,)
    assert view(record("a", vault=later), record("b", vault=SEALED), vault=later).banners == (
        replace(VAULT, hosts=("a", "b")),
    )


def test_an_outage_of_this_process_is_shown_before_its_next_poll() -> None:
    """As is one of a daemon that has never written its row."""
    assert view(record("a"), vault=SEALED).banners == (VAULT,)
    assert view(vault=SEALED).banners == (VAULT,)


def test_outages_of_a_silent_daemon_are_not_known() -> None:
    """Nobody has looked since."""
    found = view(record("a"), record("b", ago=MINUTE, vault=SEALED))

    assert not found.banners
    assert not found.is_silent


def test_outages_that_differ_have_a_banner_each() -> None:
    """A refused configuration is named as one; what has no title is named by its component."""
    found = view(record("a", configuration=REFUSED, vault=SEALED, disk=REFUSED)).banners

    assert [each.title for each in found] == [
        "The new configuration is refused",
        "Vault cannot be used",
        "Disk cannot be used",
    ]


def test_silence_of_all_is_told() -> None:
    """With the last poll of any; without a daemon there is nobody to be silent."""
    found = view(record("a", ago=5 * MINUTE), record("b", ago=2 * MINUTE))

    assert found.is_silent
    assert [(each.title, each.since) for each in found.banners] == [
        ("No daemon is at work", NOW - 2 * MINUTE)
    ]
    assert not view().banners


def test_a_scheduler_that_stands_still_is_told_without_the_ledger() -> None:
    """As are this process's outages."""
    found = [each.title for each in own_banners({"vault": SEALED}, is_live=False)]

    assert found == ["This daemon does not work", "Vault cannot be used"]
    assert view(record("a"), is_live=False).banners[0].title == "This daemon does not work"
