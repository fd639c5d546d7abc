"""How problems are told: together, each with its hint, none too long."""

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
        "  vonage.timeout: '1h' is not within 1s to 5m",
        "  policy.length: 40 is not within 8 to 25",
        "  daemon.pol: unknown key, did you mean poll?",
        "  accounts[0].length (sms): 3 is not within 8 to 25",
        "  accounts[0].vault_pth (sms): unknown key, did you mean vault_path?",
        "  accounts[2].api_key (parent): 'efgh5678' is already that of accounts[1] (voice)",
        "  $ROTATOR_X__Y: unknown variable",
    ]
    assert error.hint is None


def test_hint_is_beside_its_problem_where_there_are_several(refuse: Refuse) -> None:
    """Among several problems each has its own hint in its line."""
    error = refuse(VAULT + SMS + '[vonage]\ntimeout = 5\n[vault.auth]\nrole = "r"\n')

    assert "5 is not a duration (write one number and one unit: 90s" in error.message
    assert "not to method 'token' (set vault.auth.method to the way that is meant" in error.message


def test_long_value_is_cut(refuse: Refuse) -> None:
    """A value of any length leaves the error readable."""
    error = refuse(VAULT + SMS + f'[policy]\ntimezone = "{"x" * 9999}"\n')

    assert len(error.message) < 300
