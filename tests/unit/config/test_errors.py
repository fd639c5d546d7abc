"""How problems are told: together, each with its hint, none too long."""

import pytest

from tests.unit.config.file import PARENT, SMS, VAULT, VOICE, Refuse


def test_all_problems_are_reported_together(refuse: Refuse) -> None:
    """One error lists everything that is wrong, a line each, with its hint."""
    text = (
        VAULT
        + '[vonage]\ntimeout = "1h"\n[policy]\nlength = 40\n[daemon]\npol = "1s"\n'
        + SMS
        + "vault_pth = 1\nlength = 3\n"
        + VOICE
        + PARENT.replace("ijkl9012", "efgh5678")
    )
    error = refuse(text, {"ROTATOR_X__Y": "1"})
    lines = error.message.splitlines()

    assert lines[0].endswith("config.toml:")
    assert lines[1:] == [
        "  vonage.timeout: '1h' is not within 1s to 5m (leave it out for the default, 10s)",
        "  policy.length: 40 is not within 8 to 25 (leave it out for the default, 25)",
        "  daemon.pol: unknown key, did you mean poll?",
        "  accounts[0].length (sms): 3 is not within 8 to 25 (leave it out for that of [policy])",
        "  accounts[0].vault_pth (sms): unknown key, did you mean vault_path?",
        "  accounts[2].api_key (parent): 'efgh5678' is already that of accounts[1] (voice)",
        "  $ROTATOR_X__Y: unknown variable",
    ]
    assert error.hint is None


def test_hint_is_beside_its_problem_where_there_are_several(refuse: Refuse) -> None:
    """Among several problems each has its own hint in its line."""
    error = refuse(VAULT + SMS + '[vonage]\ntimeout = 5\n[vault.auth]\nrole = "r"\n')

    assert "5 is not a duration (write one number and one unit: 90s" in error.message
    assert "not to method 'token' (set vault.auth.method to the one that is meant" in error.message


def test_long_value_is_cut(refuse: Refuse) -> None:
    """A value of any length leaves the error readable."""
    error = refuse(VAULT + SMS + f'[policy]\ntimezone = "{"x" * 9999}"\n')

    assert len(error.message) < 300


@pytest.mark.parametrize(
    ("table", "line", "hint"),
    [
        ("vault", 'patience = "1h"', "leave it out for the default, 1m"),
        ("vault", "mount = 1", "leave it out for the default, secret"),
        ("vonage", "max_requests_per_second = 0", "leave it out for the default, 5"),
        ("ledger", "auto_upgrade = 1", "leave it out for the default, true"),
        ("policy", "length = 7", "leave it out for the default, 25"),
        ("policy", 'on_foreign = "evict"', "leave it out for the default, refuse"),
        ("accounts", "length = 7", "leave it out for that of [policy]"),
        ("vault", "ca_file = 1", None),
        ("vault", "auth = 1", None),
    ],
)
def test_a_rule_without_a_hint_is_told_with_what_holds_without_the_key(
    refuse: Refuse, table: str, line: str, hint: str | None
) -> None:
    """The default, where there is one that a file could have."""
    header = "" if table == "accounts" else f"[{table}]\n"
    text = f"{SMS}{header}{line}\n"
    error = refuse(text, {"VAULT_ADDR": "https://vault.example.com"})

    assert error.hint == hint
