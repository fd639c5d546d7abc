"""`adopt`, as the real process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cli_fixture import CliFixture


@pytest.fixture
def desk(tmp_path: Path, sqlite_template: Path) -> Iterator[CliFixture]:
    """One account whose secret is in Vault, and a grace that outlasts every test."""
    with CliFixture(tmp_path, ledger=sqlite_template, policy={"grace": "1d"}) as desk:
        yield desk


def test_a_first_secret_is_adopted_from_standard_input(desk: CliFixture) -> None:
    """Where Vault has nothing, the value is proved, gets its entry, and can be rotated."""
    value = desk.account.api_secret
    desk.world.vault._mounts["secret"].keys.pop(desk.account.vault_path)
    done = desk.run("adopt", "account-1", text=f"{value}\n")

    (only,) = desk.secret_ids()
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        f"adopted secret {only} of account-1: Vault now has it at secret/vonage/account-1, "
        "version 1\n"
    )
    assert desk.rotate().code == 0
    assert not desk.world.violations()


def test_what_vault_has_is_adopted_once(desk: CliFixture) -> None:
    """--from-vault adds the note that makes the id certain; the second time finds it there."""
    (only,) = desk.secret_ids()
    first, second = (desk.run("adopt", "account-1", "--from-vault", "--json") for _ in range(2))

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
    assert desk.run("status", "--json").json()["accounts"][0]["current_secret_id"] == only


def test_a_stuck_rotation_is_ended(desk: CliFixture) -> None:
    """The new secret is revoked; with the old value put back, nothing is left to attend to."""
    old_value = desk.account.api_secret
    desk.rotate()
    _, new = desk.secret_ids()
    desk.world.vonage.revoke(desk.account.api_key, new)
    stuck = desk.run("rotate-now", "account-1", "--grace", "0s")
    adopted = desk.run("adopt", "account-1", text=old_value)
    status = desk.run("status", "--check")

    assert stuck.code == 3
    assert "`rotator adopt account-1`" in stuck.err
    assert adopted.code == 0
    assert "is over: superseded" in adopted.out
    assert (status.code, "(superseded)" in status.out) == (0, True)
    assert desk.rotate("account-1", "--grace", "0s").code == 0


def test_the_rotations_own_secret_carries_it_on(desk: CliFixture) -> None:
    """Adopting what was just rotated in changes nothing, and says that the rotation is open."""
    desk.rotate()
    done = desk.run("adopt", "account-1", "--from-vault")

    assert "had it already" in done.out
    assert done.out.endswith("is open; `rotator resume account-1` continues it\n")


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
    desk: CliFixture, arguments: tuple[str, ...], text: str, code: int, message: str
) -> None:
    """The value is never repeated, and nothing is written anywhere."""
    before = desk.snapshot()
    done = desk.run("adopt", "account-1", *arguments, text=text)

    assert done.code == code, done
    assert message in done.err
    assert not text or text not in done.err
    assert desk.snapshot() == before
    assert desk.sql("SELECT count(*) FROM entry") == [(0,)]
