from pathlib import Path

import pytest

from rotator.config import load
from rotator.doctor.consumers import unawaited, warning

ROOT = Path(__file__).parents[3]
BASE = """
[vault]
address = "https://vault.example.com"
[[accounts]]
name = "sms"
api_key = "abcd1234"
vault_path = "vonage/sms"
[[accounts]]
name = "voice"
api_key = "abcd1235"
vault_path = "vonage/voice"
[[discover]]
parent = "voice"
vault_path = "vonage/{api_key}"
"""
HOOK = """
[[hooks]]
on = ["%s"]
command = ["/bin/true"]
accounts = [%s]
"""
BELOW_VOICE = "the subaccounts of voice"


@pytest.mark.parametrize(
    ("hooks", "names"),
    [
        ("", ["sms", "voice", BELOW_VOICE]),
        (HOOK % ("completed", ""), ["sms", "voice", BELOW_VOICE]),
        (HOOK % ("gate", '"sms"'), ["voice", BELOW_VOICE]),
        (HOOK % ("pushed", '"voice"'), ["sms", BELOW_VOICE]),
        (HOOK % ("pushed", '"sms", "voice"'), [BELOW_VOICE]),
        (HOOK % ("gate", ""), []),
    ],
)
def test_consumers_are_waited_for_by_a_gate_or_a_pushed_hook(
    tmp_path: Path, hooks: str, names: list[str]
) -> None:
    """Of each account for itself; only hooks for all are for subaccounts yet to be discovered."""
    config = tmp_path / "config.toml"
    config.write_text(BASE + hooks)

    assert unawaited(load(config, {})) == names


def test_the_warning_is_one_line_with_a_page_that_exists() -> None:
    """However many accounts it concerns."""
    text = warning([f"sms-{number}" for number in range(12)])

    assert text.startswith("sms-0, sms-1 and 10 more: no gate and no `pushed` hook: ")
    assert "\n" not in text
    assert (ROOT / text.split()[-1]).is_file()
