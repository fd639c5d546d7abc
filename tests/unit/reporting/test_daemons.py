"""What is shown of daemons."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from rotator.ledger.daemons import DaemonRecord, Outage
from rotator.reporting.daemons import daemons_document, warnings

NOW = datetime(2026, 11, 24, 7, 28, tzinfo=UTC)
HOUR = timedelta(hours=1)
SEALED = Outage(code="vault-sealed", why="Vault is sealed", hint="unseal it", since=NOW - HOUR)
LIVE = DaemonRecord(
    host="one",
    version="1.0",
    started_at=NOW - HOUR,
    polled_at=NOW,
    poll_seconds=15,
    known_outages={"vault": SEALED, "page": replace(SEALED, over_at=NOW)},
)
DEAD = replace(LIVE, host="two", polled_at=NOW - HOUR)


def test_programs_are_told_of_each_daemon() -> None:
    """And what it cannot use; not of what is over."""
    found = daemons_document([LIVE, DEAD], NOW)

    assert found["silent"] is False
    assert found["daemons"][0] == {
        "host": "one",
        "version": "1.0",
        "started_at": "2026-11-24T06:28:00Z",
        "polled_at": "2026-11-24T07:28:00Z",
        "poll_seconds": 15,
        "silent": False,
        "outages": {
            "vault": {
                "code": "vault-sealed",
                "why": "Vault is sealed",
                "hint": "unseal it",
                "since": "2026-11-24T06:28:00Z",
            }
        },
    }
    assert found["daemons"][1]["silent"] is True


def test_people_are_told_what_is_wrong() -> None:
    """With the cure; a daemon that does not poll says nothing of the present."""
    assert list(warnings([], NOW)) == []
    [(outage, cure)] = warnings([LIVE, DEAD], NOW)
    assert outage.startswith("Vault cannot be used on one (since 2026-11-24 06:28 UTC): ")
    assert outage.endswith(": Vault is sealed (vault-sealed)")
    assert cure == "unseal it"
    [(text, hint)] = warnings([DEAD], NOW)
    assert text == "no daemon has polled since 2026-11-24 06:28 UTC: nothing is rotated"
    assert hint
    assert "(two): `systemctl status rotator.service`" in hint
    assert "`--no-daemon`" in hint
    assert list(warnings([DEAD], NOW, expects_daemon=False)) == []


def test_an_outage_of_several_daemons_is_one() -> None:
    """It has one cause and one cure, and began where it was noticed first, as on the page."""
    earlier = replace(SEALED, since=NOW - 2 * HOUR)
    other = replace(LIVE, host="three", known_outages={"vault": earlier, "ledger": SEALED})
    [vault, ledger] = warnings([LIVE, other], NOW)

    what = "Vault cannot be used on one, three (since 2026-11-24 05:28 UTC)"
    assert vault == (f"{what}: Vault is sealed (vault-sealed)", "unseal it")
    assert ledger[0].startswith("the ledger cannot be used on three (")
