import pytest

from rotator.doctor import Verdict, causes, verdict
from rotator.doctor.check import CheckResult, bad, doubtful, fine
from tests.support.samples import account

NAMES = [f"sms-{number}" for number in range(1, 15)]
ACCOUNTS = {name: account(name, api_key=f"{name}-key") for name in NAMES}
IDS = ("3b8f0a52-1a6c-4f0e-9d6e-2f5f3c1f7a10", "9d1f0a52-1a6c-4f0e-9d6e-2f5f3c1f7a11")


def missing(name: str) -> CheckResult:
    """Return what doctor finds where an account's entry is missing."""
    of = ACCOUNTS[name]
    why = f"Vault has no entry at {of.vault_path}, for {of.api_key}"
    return bad("rotation", name, why, f"`rotator adopt {name}` puts the secret there")


def test_one_cause_is_one_row() -> None:
    """However many accounts it concerns; what differs between them has a word of its own."""
    (cause,) = causes([*map(missing, NAMES), fine("rotation", "x", "well")], ACCOUNTS)

    assert cause.about == "sms-1, sms-2 and 12 more"
    assert cause.finding == "Vault has no entry at VAULT_PATH, for API_KEY"
    assert cause.hint == "`rotator adopt NAME` puts the secret there"
    assert cause.verdict is Verdict.FAILED


def test_few_accounts_are_all_named() -> None:
    """Up to three of them; one alone has its own words."""
    three, one = causes(map(missing, NAMES[:3]), ACCOUNTS), causes([missing("sms-1")], ACCOUNTS)

    assert [cause.about for cause in three] == ["sms-1, sms-2, sms-3"]
    assert one == [missing("sms-1")]


def test_what_is_in_the_way_of_several_checks_is_one_cause() -> None:
    """It is shown as the check that found it first."""
    why, hint = "the ledger file cannot be opened", "correct ledger.url"
    found = [bad("ledger revision", "", why, hint), bad("accounts", "", why, hint)]

    assert causes(found, {}) == found[:1]


def test_problems_come_before_warnings() -> None:
    """Each kind in the order in which it was found."""
    found = [doubtful("a", "", "w", "h"), bad("b", "", "p", None), bad("a", "", "q", None)]

    assert [cause.name for cause in causes(found, {})] == ["b", "a", "a"]


@pytest.mark.parametrize(
    ("first", "second", "is_one"),
    [
        (f"secret {IDS[0]} is dead", f"secret {IDS[1]} is dead", True),
        ("version 3 is gone", "version 12 is gone", True),
        ("kv undelete -versions=3", "kv undelete -versions=4", True),
        ("at 2026-11-23 07:28:00 UTC", "at 2026-11-24 07:28:01 UTC", True),
        ("sms-1 is", "sms-2 is", True),
        ("2 of 2 used", "1 of 2 used", False),
        ("it is dead", "it is missing", False),
        # The name of the one is only part of a word.
        ("see sms-10", "see sms-20", False),
    ],
)
def test_what_differs_between_accounts_is_no_other_cause(
    first: str, second: str, *, is_one: bool
) -> None:
    """Ids, versions, times and the accounts' own names differ; other words are other causes."""
    found = [bad("rotation", "sms-1", first, None), bad("rotation", "sms-2", second, None)]

    assert (len(causes(found, ACCOUNTS)) == 1) is is_one


def test_a_path_is_a_subject() -> None:
    """A policy that lacks a capability lacks it on the paths of all accounts."""
    paths = ["secret/data/vonage/a", "secret/data/vonage/b"]
    found = [bad("vault policy", path, "denied", f'path "{path}" {{ }}') for path in paths]
    (cause,) = causes(found, ACCOUNTS)

    assert (cause.about, cause.hint) == (", ".join(paths), 'path "PATH" { }')


@pytest.mark.parametrize(
    ("problems", "warnings", "sentence"),
    [
        (0, 0, "everything is ready: 41 checks"),
        (0, 1, "ready, with 1 warning in 41 checks"),
        (0, 2, "ready, with 2 warnings in 41 checks"),
        (1, 0, "1 problem in 41 checks"),
        (3, 1, "3 problems and 1 warning in 41 checks"),
    ],
)
def test_the_verdict_is_one_sentence(problems: int, warnings: int, sentence: str) -> None:
    """It counts causes, not accounts."""
    found = [bad("a", "", "p", None)] * problems + [doubtful("a", "", "w", "h")] * warnings

    assert verdict(found, 41) == sentence
