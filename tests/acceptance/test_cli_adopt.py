"""`adopt`, as the real process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cli_fixture import CliFixture


@pytest.fixture
def cli(tmp_path: Path, sqlite_template: Path) -> Iterator[CliFixture]:
    """One account whose secret is in Vault, and a grace that outlasts every test."""
    with CliFixture(tmp_path, ledger=sqlite_template, policy={"grace": "1d"}) as cli:
        yield cli


def test_a_first_secret_is_adopted_from_standard_input(cli: CliFixture) -> None:
    """Where Vault has nothing, the value is proved, gets its entry, and can be rotated."""
    value = cli.account.api_secret
    cli.world.vault._mounts["secret"].keys.pop(cli.account.vault_path)
    done = cli.run("adopt", "account-1", text=f"{value}\n")

    (only,) = cli.secret_ids()
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        f"adopted secret {only} of account-1: Vault now has it at secret/vonage/account-1, "
        "version 1\n"
    )
    assert cli.rotate().code == 0
    assert not cli.world.violations()


def test_what_vault_has_is_adopted_once(cli: CliFixture) -> None:
    """--from-vault adds the note that makes the id certain; the second time finds it there."""
    (only,) = cli.secret_ids()
    first, second = (cli.run("adopt", "account-1", "--from-vault", "--json") for _ in range(2))

    assert first.json() == {
        "account": "account-1",
        "secret_id": only,
        "created_at": first.json()["created_at"],
        "vault_path": "secret/vonage/account-1",
        "vault_version": 2,
        "written": True,
        "rotation": None,
    }
    assert second.json() == first.json() | {"written": False}
    assert cli.run("status", "--json").json()["accounts"][0]["current_secret_id"] == only


def test_a_stuck_rotation_is_ended(cli: CliFixture) -> None:
    """The new secret is revoked; with the old value put back, nothing is left to attend to."""
    old_value = cli.account.api_secret
    cli.rotate()
    _, new = cli.secret_ids()
    cli.world.vonage.revoke(cli.account.api_key, new)
    resumed = cli.run("resume", "account-1")
    stuck = cli.run("rotate-now", "account-1", "--grace", "0s")
    adopted = cli.run("adopt", "account-1", text=old_value)
    status = cli.run("status", "--check")

    assert (resumed.code, stuck.code) == (3, 3)
    cause = resumed.err[resumed.err.index("error: ") :]
    assert stuck.err.endswith(cause)
    assert cause.startswith(
        f"error: account-1: Vonage refuses secret {new}, as if someone else had revoked it: "
        "consumers read a secret that does not work\nhint: "
    )
    assert "`rotator adopt account-1`" in stuck.err
    assert adopted.code == 0
    assert "is over: superseded" in adopted.out
    assert (status.code, "(superseded)" in status.out) == (0, True)
    assert cli.rotate("account-1", "--grace", "0s").code == 0


def test_the_rotations_own_secret_carries_it_on(cli: CliFixture) -> None:
    """Adopting what was just rotated in changes nothing, and says until when the old one stays."""
    cli.rotate()
    done = cli.run("adopt", "account-1", "--from-vault")
    document = cli.run("adopt", "account-1", "--from-vault", "--json").json()["rotation"]

    assert "had it already" in done.out
    until = document["delete_due_at"][:16].replace("T", " ")
    assert done.out.endswith(f"is open: the old secret stays until {until} UTC\n")
    assert document["grace_restarted"] is False


def test_a_grace_that_begins_anew_is_said_to(cli: CliFixture) -> None:
    """Someone put the old value back: consumers read it until the new one is adopted."""
    path = cli.account.vault_path
    cli.rotate()
    pushed = cli.world.vault.versions(path)[-1].data or {}
    cli.world.vault.write(path, {"api_secret": cli.account.api_secret})
    _, new = cli.secret_ids()
    done = cli.run("adopt", "account-1", "--secret-id", new, text=pushed["api_secret"])

    assert "is open: its grace has begun anew, and the old secret stays until " in done.out


def test_a_secret_may_be_named_by_the_beginning_of_its_id(cli: CliFixture) -> None:
    """As tables show it, where it is that of one secret alone; what is recorded is the whole id."""
    (ours,) = cli.secret_ids()
    cli.world.vonage.add_secret(cli.account.api_key, "MadeByHand1")
    done = cli.run("adopt", "account-1", "--from-vault", "--secret-id", ours[:8], "--json")
    short = cli.run("adopt", "account-1", "--from-vault", "--secret-id", ours[:3])

    assert done.json()["secret_id"] == ours
    assert (cli.world.vault.read(cli.account.vault_path) or {})["rotator"]["secret_id"] == ours
    assert short.code == 2
    assert "too short" in short.err


@pytest.mark.parametrize(
    ("arguments", "text", "code", "message"),
    [
        (("--from-vault", "--from-file", "-"), "", 2, "are both given"),
        ((), "", 2, "no value is given"),
        ((), "Two1 Words", 2, "not a Vonage secret"),
        ((), "NotTheSecret1", 1, "Vonage refuses the value"),
        (("--from-file", "/nowhere"), "", 2, "cannot be read: no such file"),
        (
            ("--from-vault", "--secret-id", "other"),
            "",
            3,
            "not that of the secret that is asked for",
        ),
    ],
)
def test_what_cannot_be_adopted_changes_nothing(
    cli: CliFixture, arguments: tuple[str, ...], text: str, code: int, message: str
) -> None:
    """The value is never repeated; nothing is written, but for who asks where it comes to that."""
    before = cli.snapshot()
    done = cli.run("adopt", "account-1", *arguments, text=text)

    assert done.code == code, done
    assert message in done.err
    assert not text or text not in done.err
    assert cli.snapshot() == before
    events = [event for (event,) in cli.sql("SELECT event FROM entry ORDER BY seq")]
    assert events == ([] if code == 2 else ["requested", "registered", "not-begun"])
