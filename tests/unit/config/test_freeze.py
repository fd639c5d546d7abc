"""`[[freeze]]`: its times, its reason, and the accounts that it applies to."""

from datetime import UTC, datetime

import pytest

from rotator.model import DiscoveredSubaccount, Freeze, SubaccountState
from tests.unit.config.file import PARENT, SMS, VAULT, VOICE, Read, Refuse

FREEZE = (
    '[[freeze]]\nfrom = 2026-12-18T18:00:00+01:00\nto = 2027-01-04T08:00:00Z\nreason = "holidays"\n'
)
HOLIDAYS = Freeze(
    since=datetime(2026, 12, 18, 17, tzinfo=UTC),
    until=datetime(2027, 1, 4, 8, tzinfo=UTC),
    reason="holidays",
)
EARLIER = (
    '[[freeze]]\nfrom = "2026-11-27T00:00:00Z"\nto = "2026-12-01 00:00:00+00:00"\n'
    'reason = "sales"\naccounts = ["sms", "v*"]\n'
)


def test_without_accounts_it_is_for_all(read: Read) -> None:
    """Times count as instants, whatever offset they are written with."""
    settings = read(VAULT + SMS + VOICE + FREEZE)

    assert [each.policy.freezes for each in settings.accounts] == [(HOLIDAYS,)] * 2
    assert settings.policy.freezes == ()


def test_accounts_are_named_by_patterns(read: Read) -> None:
    """Each account has its own, by their beginnings, whatever their order in the file."""
    settings = read(VAULT + SMS + VOICE + PARENT + FREEZE + EARLIER)
    reasons = {
        account.name: [freeze.reason for freeze in account.policy.freezes]
        for account in settings.accounts
    }

    assert reasons == {
        "sms": ["sales", "holidays"],
        "voice": ["sales", "holidays"],
        "parent": ["holidays"],
    }


def test_discovered_accounts_freeze_as_well(read: Read) -> None:
    """By the names that they get; a pattern may then match nothing that the file has."""
    discover = '[[discover]]\nparent = "parent"\nvault_path = "vonage/{api_key}"\n'
    found = [
        DiscoveredSubaccount(parent="parent", api_key=key, title=key, state=SubaccountState.ACTIVE)
        for key in ("aaaa0001", "bbbb0002")
    ]
    text = FREEZE + 'accounts = ["aaaa*"]\n'
    settings = read(VAULT + PARENT + discover + text).with_discovered(found)

    assert {account.name: len(account.policy.freezes) for account in settings.accounts} == {
        "parent": 0,
        "aaaa0001": 1,
        "bbbb0002": 0,
    }


def test_what_is_shown_is_read_again(read: Read) -> None:
    """The table is shown as it may be written, and no account has keys for it."""
    shown = read(VAULT + SMS + VOICE + EARLIER).shown()

    assert shown["freeze"] == [
        {
            "from": "2026-11-27T00:00:00Z",
            "to": "2026-12-01T00:00:00Z",
            "reason": "sales",
            "accounts": ["sms", "v*"],
        }
    ]
    assert "freezes" not in shown["accounts"][0].keys() | shown["policy"].keys()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("from", "2026-12-18T18:00:00", "freeze[0].from: 2026-12-18 18:00:00 has no offset"),
        ("from", "2026-12-18", "freeze[0].from: 2026-12-18 is not a date with a time"),
        ("from", '"tomorrow"', "freeze[0].from: 'tomorrow' is not a date with a time"),
        ("from", "5", "freeze[0].from: 5 is not a date with a time"),
        ("to", '"2026-12-19T00:00:00"', "freeze[0].to: '2026-12-19T00:00:00' has no offset"),
        ("to", "9999-12-31T00:00:00Z", "freeze[0].to: 9999-12-31 00:00:00+00:00 is not within"),
        ("to", "0001-01-01T00:00:00+23:00", "is not within the years 2000 to 2999"),
        ("to", "2026-12-18T17:00:00Z", "freeze[0].to: is not after from"),
        ("to", "2028-01-01T00:00:00Z", "freeze[0].to: is more than 366 days after from"),
        ("reason", '" "', "is not one line of 1 to 200 printable characters"),
        ("reason", '"a\\nb"', "is not one line of 1 to 200 printable characters"),
        ("accounts", '["sns"]', "'sns' matches no account, did you mean sms?"),
        ("accounts", "[]", "freeze[0].accounts: is empty, so nothing would be frozen"),
        ("accounts", '"sms"', "freeze[0].accounts: 'sms' is not a list of strings"),
        ("until", "2026-12-18T17:00:00Z", "freeze[0].until: unknown key"),
    ],
)
def test_what_is_no_freeze_is_refused(refuse: Refuse, key: str, value: str, message: str) -> None:
    """A freeze that does not apply when or where it is meant to would be found out too late."""
    lines = [line for line in FREEZE.splitlines() if not line.startswith(f"{key} =")]
    error = refuse(VAULT + SMS + "\n".join([*lines, f"{key} = {value}"]))

    assert message in error.message


@pytest.mark.parametrize("key", ["from", "to", "reason"])
def test_times_and_reason_are_required(refuse: Refuse, key: str) -> None:
    """There is no default for them."""
    lines = [line for line in FREEZE.splitlines() if not line.startswith(f"{key} =")]

    assert f"freeze[0].{key}: is required" in refuse(VAULT + SMS + "\n".join(lines)).message
