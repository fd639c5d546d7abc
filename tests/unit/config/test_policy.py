"""When and how an account is rotated: `[policy]`, and what an account says otherwise."""

import re
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import NoReturn

import pytest

from rotator.config import load
from rotator.model import DiscoveredSubaccount, OnForeign, Policy, SubaccountState
from rotator.rotation import schedule
from rotator.rotation.spacing import longest
from tests.unit.config.file import SMS, VAULT, VOICE, Read, Refuse


def test_a_minimum_is_no_debt(refuse: Refuse, read: Read) -> None:
    """A balance to be warned of is a number, not negative; without one nothing is watched."""
    for value in ("-1", '"20"', "inf", "true"):
        assert "min_balance" in refuse(f"{VAULT}{SMS}min_balance = {value}\n").message

    assert read().accounts[0].min_balance is None
    own = read(f"{VAULT}{SMS}min_balance = 0.1\n").accounts[0]
    assert own.min_balance == Decimal("0.1")


def test_a_minimum_for_all(read: Read) -> None:
    """`[policy]`, or the environment, has the one of every account that has none of its own."""
    discover = '[[discover]]\nparent = "sms"\nvault_path = "v/{api_key}"\n'
    text = f"[policy]\nmin_balance = 20\n{VAULT}{SMS}{discover}"
    found = DiscoveredSubaccount(parent="sms", api_key="b1", title="", state=SubaccountState.ACTIVE)
    merged = read(text).with_discovered([found]).accounts
    other = read(f"{VAULT}{SMS}", {"ROTATOR_POLICY__MIN_BALANCE": "7.5"}).accounts[0]

    assert [account.min_balance for account in merged] == [Decimal(20)] * 2
    assert merged[1].discovered
    assert other.min_balance == Decimal("7.5")
    assert other.is_low(Decimal(7))


def test_account_overrides_the_policy(read: Read) -> None:
    """Any key of the policy may stand in an account and holds for it alone."""
    own = (
        'every = "10d"\ntimezone = "Europe/Berlin"\njitter = "0s"\ngrace = "1h"\n'
        'max_age = "15d"\nlength = 8\non_foreign = "evict-oldest"\nwindow = "Sun  02:00-05:00"\n'
    )
    settings = read(VAULT + '[policy]\ngrace = "2h"\n' + SMS + own + VOICE)

    assert settings.account("sms").policy == Policy(
        every=timedelta(days=10),
        cron=None,
        timezone="Europe/Berlin",
        jitter=timedelta(),
        grace=timedelta(hours=1),
        max_age=timedelta(days=15),
        length=8,
        on_foreign=OnForeign.EVICT_OLDEST,
        window=("sun 02:00-05:00",),
    )
    assert settings.account("voice").policy == settings.policy
    assert settings.policy.grace == timedelta(hours=2)


@pytest.mark.parametrize(
    ("given", "window"),
    [
        ('""', ()),
        ("[]", ()),
        ('["sun 02:00-05:00", "mon-fri 22:00-04:00"]', ("sun 02:00-05:00", "mon-fri 22:00-04:00")),
    ],
)
def test_windows_of_an_account_replace_the_policy_s(
    read: Read, given: str, window: tuple[str, ...]
) -> None:
    """None, one or a list; none is always."""
    text = VAULT + '[policy]\nwindow = "03:00-04:00"\n' + SMS + f"window = {given}\n" + VOICE
    settings = read(text)

    assert settings.account("sms").policy.window == window
    assert settings.account("voice").policy.window == ("03:00-04:00",)


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ('"sunday 02:00-05:00"', "'sunday 02:00-05:00' names a day that is none of mon"),
        ('["sun 02:00-05:00", "x"]', "a list has 'x', which is not a window"),
        ("5", "5 is neither a string nor a list of strings"),
        ("[5]", "a list is neither a string nor a list of strings"),
    ],
)
def test_what_is_no_window_is_refused(refuse: Refuse, given: str, rule: str) -> None:
    """The window is named, and how one is written."""
    error = refuse(VAULT + SMS + f"window = {given}\n")

    assert f"accounts[0].window (sms): {rule}" in error.message
    assert "sun 02:00-05:00" in (error.hint or "")


def test_cron_of_an_account_replaces_every(read: Read) -> None:
    """An account that sets `cron` has no `every`, and keeps the default time zone."""
    text = VAULT + '[policy]\ntimezone = "Asia/Tokyo"\n' + SMS + 'cron = "0  3 * * SUN"\n'
    policy = read(text).account("sms").policy

    assert (policy.every, policy.cron, policy.timezone) == (None, "0 3 * * SUN", "Asia/Tokyo")


def test_every_of_an_account_replaces_cron(read: Read) -> None:
    """An account that sets `every` does not inherit `cron`."""
    settings = read(VAULT + '[policy]\ncron = "0 3 * * sun"\n' + SMS + 'every = "7d"\n' + VOICE)

    assert settings.account("sms").policy.every == timedelta(days=7)
    assert settings.account("sms").policy.cron is None
    assert settings.account("voice").policy.every is None
    assert settings.account("voice").policy.cron == "0 3 * * sun"


@pytest.mark.parametrize(
    ("policy", "account", "expected"),
    [
        ('every = "never"', "", None),
        ('every = "never"\nmax_age = "90d"', "", timedelta(days=90)),
        ('max_age = "60d"', 'every = "never"', None),
        ("", 'every = "never"\nmax_age = "7d"', timedelta(days=7)),
    ],
)
def test_an_account_may_be_rotated_on_request_only(
    read: Read, policy: str, account: str, expected: timedelta | None
) -> None:
    """It has no schedule, and no age is too old unless the same table says which."""
    settings = read(f"{VAULT}[policy]\n{policy}\n{SMS}{account}\n")
    found = settings.account("sms").policy

    assert found.is_on_request
    assert found.max_age == expected
    assert settings.shown()["accounts"][0]["every"] == "never"


@pytest.mark.parametrize("schedule", ['every = "30d"', 'cron = "0 3 1 * *"'])
def test_a_schedule_beside_never_has_the_usual_age(read: Read, schedule: str) -> None:
    """What is rotated by a schedule is overdue at some age, whatever `[policy]` leaves out."""
    text = f'{VAULT}[policy]\nevery = "never"\n{SMS}{schedule}\n{VOICE}cron = "0 3 1 * *"\n'

    assert read(text).account("sms").policy.max_age == timedelta(days=45)


def test_never_comes_from_a_variable_and_for_subaccounts(read: Read) -> None:
    """As every other value of the policy does."""
    discover = '[[discover]]\nparent = "sms"\nvault_path = "v/{api_key}"\nevery = "never"\n'
    found = DiscoveredSubaccount(parent="sms", api_key="b1", title="", state=SubaccountState.ACTIVE)
    merged = read(f"{VAULT}{SMS}{discover}").with_discovered([found]).accounts
    all_of_them = read(f"{VAULT}{SMS}", {"ROTATOR_POLICY__EVERY": "never"}).accounts

    assert [each.policy.is_on_request for each in merged] == [False, True]
    assert all_of_them[0].policy.is_on_request


@pytest.mark.parametrize(
    ("value", "rule"), [("often", "is not a duration"), ("0s", "is less than 1s")]
)
def test_every_is_a_duration_or_never(refuse: Refuse, value: str, rule: str) -> None:
    """Anything else is refused, with how to write it."""
    error = refuse(f'{VAULT}{SMS}every = "{value}"\n')

    assert rule in error.message
    assert value == "0s" or 'or "never"' in str(error.hint)


@pytest.mark.parametrize("text", [VAULT + "[policy]\n{}" + SMS, VAULT + SMS + "{}"])
def test_every_and_cron_exclude_each_other(refuse: Refuse, text: str) -> None:
    """One table cannot have both `every` and `cron`."""
    error = refuse(text.format('every = "7d"\ncron = "0 3 * * *"\n'))

    assert "every and cron exclude each other" in error.message


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('[policy]\nevery = "12h"', "policy.every: grace (1d) is not less than every (12h)"),
        ('[policy]\nevery = "1d"', "policy.every: grace (1d) is not less than every (1d)"),
        ('[policy]\ngrace = "30d"', "policy.grace: grace (30d) is not less than every (30d)"),
        ('[policy]\nevery = "60d"', "policy.every: max_age (45d) is less than every (60d)"),
        ('[policy]\nmax_age = "29d"', "policy.max_age: max_age (29d) is less than every (30d)"),
    ],
)
def test_policy_must_be_able_to_work(refuse: Refuse, text: str, reason: str) -> None:
    """Rotations that overlap and secrets that are always overdue are refused."""
    assert reason in refuse(f"{VAULT}{SMS}{text}\n").message


def test_policy_of_an_account_must_be_able_to_work(refuse: Refuse) -> None:
    """An account's keys are checked together with the defaults that it keeps."""
    error = refuse(VAULT + SMS + 'grace = "30d"\n' + VOICE)

    assert "accounts[0].grace (sms): grace (30d) is not less than every (30d)" in error.message
    assert "voice" not in error.message


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        (
            'every = "12h"\ngrace = "1h"\nmax_age = "1d"\nwindow = "sun 02:00-05:00"',
            (
                "max_age: secrets get up to 7d 1h old (every 12h + jitter 1h + up to 6d 11h until "
                "the next window + jitter 1h in it), more than max_age (1d)"
            ),
        ),
        (
            'every = "7d"\nmax_age = "8d"\nwindow = "sun 02:00-05:00"',
            (
                "max_age: secrets get up to 13d 23h old (every 7d + jitter 1h + up to 6d 21h until "
                "the next window + jitter 1h in it), more than max_age (8d)"
            ),
        ),
        (
            'max_age = "30d"',
            "max_age: secrets get up to 30d 1h old (every 30d + jitter 1h), more than max_age",
        ),
        (
            'jitter = "16d"',
            "jitter: secrets get up to 46d old (every 30d + jitter 16d), more than max_age (45d)",
        ),
        (
            'cron = "0 3 1 1 *"\njitter = "0s"',
            (
                "cron: secrets get up to 366d old (366d between two times of cron), "
                "more than max_age (45d)"
            ),
        ),
        (
            'cron = "0 3 1,15 * *"\nmax_age = "17d"',
            (
                "max_age: secrets get up to 17d 1h old (17d between two times of cron + jitter 1h),"
                " more than max_age (17d)"
            ),
        ),
        # Each is minutes after the one before, but for the first of a year.
        (
            'cron = "*/10 22-23 * jan-mar *"\ngrace = "0s"\njitter = "0s"',
            "cron: secrets get up to 275d 22h 10m old (275d 22h 10m between two times of cron), ",
        ),
        (
            'cron = "0 3 * * *"\ngrace = "26h"',
            (
                "grace: grace (26h) is not less than the longest time between two rotations "
                "(1d between two times of cron + jitter 1h = 1d 1h), "
                "so rotations would overlap"
            ),
        ),
    ],
)
def test_what_can_never_be_kept_is_refused(refuse: Refuse, policy: str, reason: str) -> None:
    """The message has the arithmetic, the hint what to change."""
    error = refuse(f"{VAULT}[policy]\n{policy}\n{SMS}")

    assert f"policy.{reason}" in error.message
    assert error.hint


@pytest.mark.parametrize(
    ("policy", "hint"),
    [
        ('every = "60d"', "raise max_age to at least 61d, or lower every"),
        ('max_age = "30d"', "raise max_age to at least 31d, lower jitter, or lower every"),
        ('cron = "0 3 31 * *"', "raise max_age to at least 62d, or let cron come more often"),
        (
            'every = "7d"\nmax_age = "8d"\nwindow = "sun 02:00-05:00"',
            "raise max_age to at least 14d, let windows open more often, or lower every",
        ),
        # The windows are closed for longer, however often it is rotated.
        (
            'every = "2d"\nmax_age = "3d"\nwindow = "sun 02:00-05:00"',
            "raise max_age to at least 8d, or let windows open more often",
        ),
        ('every = "12h"', "lower grace, or raise every"),
        ('cron = "0 3 * * *"\ngrace = "7d"', "lower grace, or let cron come less often"),
    ],
)
def test_the_hint_names_each_key_that_helps(refuse: Refuse, policy: str, hint: str) -> None:
    """Of those that do not help, none."""
    assert refuse(f"{VAULT}[policy]\n{policy}\n{SMS}").hint == hint


@pytest.mark.parametrize(
    "policy",
    [
        # Now and then the next rotation is due within a grace, and begins at its end.
        'cron = "0 3 * * *"',
        'cron = "0 3 * * *"\ntimezone = "Europe/Berlin"\njitter = "0s"\ngrace = "23h"',
        # Each secret is made in a window, and is a week old in the next one.
        'every = "7d"\njitter = "0s"\nmax_age = "7d"\nwindow = "sun 02:00-05:00"',
        'every = "6d"\ngrace = "5d"\nmax_age = "8d"\nwindow = "sun 02:00-05:00"',
        'every = "12h"\ngrace = "1h"\nmax_age = "170h"\nwindow = "sun 02:00-05:00"',
        'max_age = "721h"',
        # Two windows that are one.
        (
            'every = "3d"\njitter = "0s"\nmax_age = "7d"\n'
            'window = ["sat 22:00-24:00", "sun 00:00-02:00"]'
        ),
        'cron = "0 3 * * *"\ngrace = "22h"',
        'cron = "0 3 31 * *"\njitter = "0s"\nmax_age = "62d"',
        'cron = "* * * * *"\ngrace = "0s"',
        # It may delay twice: before a window, and after one opened.
        'jitter = "18000d"\nmax_age = "36500d"\nwindow = "sun 02:00-05:00"',
    ],
)
def test_what_can_be_kept_is_taken(read: Read, policy: str) -> None:
    """Nothing is refused that an ideal rotator keeps, even if only just."""
    assert len(read(f"{VAULT}[policy]\n{policy}\n{SMS}").accounts) == 1


@pytest.mark.parametrize(
    "policy",
    [
        'every = "36h"\ngrace = "3d"',
        'every = "90m"\ngrace = "0s"\nmax_age = "1h"',
        'every = "36h"\nmax_age = "3d"\nwindow = "sun 02:00-05:00"',
        'cron = "5 */36 * * *"\ngrace = "3d"',
        'every = "0s"',
        'jitter = "36501d"',
    ],
)
def test_durations_are_told_as_they_are_written(refuse: Refuse, policy: str) -> None:
    """Each number of a message is one with a unit, as every key takes it."""
    error = refuse(f"{VAULT}[policy]\n{policy}\n{SMS}")
    told = f"{error.message.partition('config.toml:')[2]} {error.hint}"

    assert re.search("[0-9]+[dhms]\\b", told)
    assert not re.search("[0-9] ?days?|[0-9]:[0-9]{2}:[0-9]{2}|timedelta", told)


def test_a_policy_is_judged_once_where_it_is_written(refuse: Refuse) -> None:
    """What an account keeps of a policy that is refused is not refused again there."""
    error = refuse(f'{VAULT}[policy]\nmax_age = "30d"\n{SMS}length = 8\n{VOICE}jitter = "2h"\n')

    assert "sms" not in error.message
    assert "accounts[1].jitter (voice): secrets get up to 30d 2h old" in error.message


@pytest.mark.parametrize("cron", ["{} 3 * * *", "{}/2 2-22 * * mon-fri", "{} 3 1 * *"])
def test_times_are_not_stepped_through(
    read: Read, monkeypatch: pytest.MonkeyPatch, cron: str
) -> None:
    """Hundreds of accounts, each with a schedule of its own, are judged at once."""

    def stepped_through(_cron: str, _local: datetime) -> NoReturn:
        raise AssertionError

    longest.cache_clear()
    monkeypatch.setattr(schedule, "CronSim", stepped_through)
    account = '[[accounts]]\nname = "a{0}"\napi_key = "k{0}"\nvault_path = "v/{0}"\ncron = "{1}"\n'
    accounts = [account.format(number, cron.format(number % 60)) for number in range(300)]
    window = 'timezone = "Europe/Berlin"\nwindow = "sun 02:00-05:00"'
    text = f'{VAULT}[policy]\ngrace = "0s"\nmax_age = "100d"\n{window}\n{"".join(accounts)}'

    assert len(read(text).accounts) == 300


@pytest.mark.parametrize(
    "text",
    [
        "0 3 * * sun",
        "*/15 0-6,22 1,15 jan-mar mon-fri",
        "0 0 29 2 *",
        "0 0 31 * 7",
        "5-10/5 * * * *",
    ],
)
def test_cron_expressions_are_taken(read: Read, text: str) -> None:
    """Five fields of numbers, names, ranges, lists and steps are a cron expression."""
    own = f'cron = "{text}"\ngrace = "0s"\nmax_age = "1500d"\n'

    assert read(f"{VAULT}{SMS}{own}").accounts[0].policy.cron == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "does not have five fields"),
        ("0 3 * *", "does not have five fields"),
        ("0 0 3 * * *", "does not have five fields"),
        ("@daily", "does not have five fields"),
        ("60 * * * *", "has a bad minute"),
        ("0 24 * * *", "has a bad hour"),
        ("0 0 0 * *", "has a bad day-of-month"),
        ("0 0 * 13 *", "has a bad month"),
        ("0 0 * sun *", "has a bad month"),
        ("0 0 * * 8", "has a bad day-of-week"),
        ("0 0 * * fri-mon", "has a bad day-of-week"),
        ("0 0 * * mon,", "has a bad day-of-week"),
        ("*/0 * * * *", "has a bad minute"),
        ("a; * * * *", "has a bad minute"),
        ("0 0 30 2 *", "has a bad day-of-month"),
    ],
)
def test_other_cron_expressions_are_refused(refuse: Refuse, text: str, reason: str) -> None:
    """An expression that cron would not take, or that would never come, is refused."""
    error = refuse(f'{VAULT}{SMS}cron = "{text}"\n')

    assert f"accounts[0].cron (sms): {text!r} {reason}" in error.message


def test_a_cron_that_comes_often_waits_for_its_window(refuse: Refuse) -> None:
    """However many of its times come while windows are closed."""
    often = 'cron = "* * * * *"\ngrace = "0s"\njitter = "0s"\nwindow = "mon-fri 09:00-17:00"\n'
    error = refuse(f'{VAULT}{SMS}{often}max_age = "2d"\n')

    assert "1m between two times of cron + up to 2d 16h until the next window" in error.message


def test_a_cron_that_the_clocks_skip_is_refused(refuse: Refuse) -> None:
    """With a `*`, it comes by elapsed time, and its only hour never does."""
    skipped = 'cron = "* 2 * 3 7L"\ntimezone = "Europe/Berlin"\n'

    assert (
        "the clocks of Europe/Berlin skip each time of cron"
        in refuse(VAULT + SMS + skipped).message
    )


@pytest.mark.parametrize(
    "policy",
    [
        'every = "30d"\nmax_age = "30d"',
        'cron = "0 3 * * *"\ngrace = "3d"',
        'every = "12h"\ngrace = "1h"\nmax_age = "1d"\nwindow = "sun 02:00-05:00"',
    ],
)
def test_what_is_a_little_too_tight_still_starts(
    refuse: Refuse, tmp_path: Path, policy: str
) -> None:
    """Whoever writes it is told; a daemon that ran with it starts again after an upgrade."""
    text = f"{VAULT}[policy]\n{policy}\n{SMS}"
    error = refuse(text)

    assert "policy." in error.message
    assert len(load(tmp_path / "config.toml", {}).accounts) == 1
