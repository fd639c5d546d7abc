"""From a checkout to a first rotation, to the service and beyond the grace, page by page."""

import json

import pytest

from tests.acceptance.service import until
from tests.booted.host import Host
from tests.booted.machine import CHECKOUT
from tests.booted.pages import INSTALL, README, SERVICE, blocks

#: The first test to boot a machine downloads what it is made of.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
#: Of the account that README names.
KEY, VALUE = "abcd1234", "Present0SecretOfThisOne"


def walk(host: Host, page: str, title: str) -> None:
    """Do what a section says: its commands typed, its configuration written."""
    for language, text in blocks(page, title):
        if language == "toml" and "[[accounts]]" in text:
            servers = text.replace("https://vault.example.com:8200", host.world.vault.url)
            vonage = f'[vonage]\napi_url = "{host.world.vonage.url}"\n'
            host.machine.write("/etc/rotator/config.toml", f"{vonage}{servers}")
        if language == "sh":
            # The only commands that are not rotator's or the system's.
            own = [line for line in text.splitlines() if "vault " not in line]
            if len(own) < len(text.splitlines()):
                host.machine.run(
                    "umask 077; cat > /etc/rotator/vault-token", text=host.world.vault.token
                )
            typed(host, own)


def typed(host: Host, lines: list[str]) -> None:
    """Type commands in the checkout, under a closed umask."""
    # Each line for itself: a shell that reads commands would give them its own input.
    joined = "\n".join(f"{line} || exit" for line in lines)
    host.machine.run(f"umask 027\n{joined}", text=VALUE, folder=CHECKOUT)


def test_a_newcomer_comes_from_nothing_to_a_service(bare: Host) -> None:
    """Step by step, under a closed umask: one ledger, no refusal, and the old secret is deleted.

    Adapted are the addresses of the servers and who issues Vault's token, and nothing else.
    """
    bare.world.vonage.add_account(KEY, VALUE)
    # The page goes on with the upgrade and the removal.
    _, install = blocks(INSTALL, "From a checkout")[0]
    typed(bare, install.splitlines())
    walk(bare, README, "From zero to a first rotation")
    assert len(bare.world.vonage.secrets(KEY)) == 2
    walk(bare, SERVICE, "Start it")
    bare.machine.run("systemctl stop rotator.service")
    bare.end_graces()
    bare.machine.run("systemctl start rotator.service")
    until(lambda: len(bare.world.vonage.secrets(KEY)) == 1)
    until(lambda: '"completed"' in bare.machine.told("rotator history sms-prod --json"))

    [account] = json.loads(bare.machine.told("rotator status --refresh --json"))["accounts"]
    assert (account["state"], account["hold"]) == ("healthy", None)
    assert account["last_rotation"]["outcome"] == "completed"
    bare.machine.run("rotator status --check && rotator ledger verify")
    found = json.loads(bare.machine.told("rotator doctor --json"))["checks"]
    assert not [check for check in found if check["verdict"] == "failed"]
    assert bare.machine.told("journalctl -q --no-pager -o cat -p err -u rotator.service") == ""
    bare.machine.run("test -s /usr/local/share/man/man1/rotator.1")
