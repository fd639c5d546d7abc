"""What others do to the account while it is being rotated, at every single request.

A change that comes after rotator's last look and before its request is a race that nobody can
win. Those few cases are in the tables, too, as what they are.
"""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from rotator.model import PassResult
from rotator.sim import SlotsFull
from tests.support.rotation_fixture import NAME, RotationFixture

#: The requests of a rotation without a grace, in their order.
REQUESTS = (
    "read-current",
    "read-pending",
    "list",
    "stage",
    "create",
    "probe",
    "push",
    "verify",
    "clear",
    "read-again",
    "delete",
)
DONE = "completed"


def table(*runs: tuple[int, str]) -> dict[str, str]:
    """Return how a rotation ends if something happens just before each request, from runs."""
    outcomes = [outcome for count, outcome in runs for _ in range(count)]
    return dict(zip(REQUESTS, outcomes, strict=True))


def soft_delete_pending(fixture: RotationFixture) -> None:
    """Delete the newest version of the pending entry, which keeps its number."""
    if fixture.look().pending is not None:
        fixture.world.vault.delete_latest(fixture.accounts[NAME].pending_path)


def make_foreign(fixture: RotationFixture) -> None:
    """Make a secret in the dashboard, if there is a slot."""
    try:
        fixture.make_foreign()
    except SlotsFull:
        assert len(fixture.secrets()) == 2


def revoke_old(fixture: RotationFixture) -> None:
    """Revoke the older secret."""
    fixture.revoke(fixture.secrets()[0].id)


def revoke_new(fixture: RotationFixture) -> None:
    """Revoke the new secret once there is one."""
    if len(fixture.secrets()) == 2:
        fixture.revoke(fixture.secrets()[1].id)


def roll_back(fixture: RotationFixture) -> None:
    """Put back the version before."""
    fixture.roll_back()


def change_value(fixture: RotationFixture) -> None:
    """Write another, wrong value."""
    fixture.patch(api_secret="ByHand1234")


def spoil_note(fixture: RotationFixture) -> None:
    """Write another note."""
    fixture.patch(rotator={"secret_id": "x"})


def soft_delete(fixture: RotationFixture) -> None:
    """Delete the newest version of the entry, which keeps its number."""
    fixture.world.vault.delete_latest(fixture.accounts[NAME].vault_path)


def take_field(fixture: RotationFixture) -> None:
    """Take the value out of the entry."""
    fixture.drop_field("api_secret")


def change_key(fixture: RotationFixture) -> None:
    """Write another api key."""
    fixture.patch(api_key="ffffffff")


def patch(fixture: RotationFixture) -> None:
    """Change a field that is not rotator's."""
    fixture.patch(note="changed by another team")


Act = Callable[[RotationFixture], None]
#: On an account that was rotated before: who does what, and how that ends before each request.
NOTED: dict[Act, dict[str, str]] = {
    patch: table((11, DONE)),
    RotationFixture.drop_pending: table((11, DONE)),
    soft_delete_pending: table((11, DONE)),
    make_foreign: table((5, "foreign-secret"), (6, DONE)),
    revoke_old: table((5, "current-refused"), (6, DONE)),
    revoke_new: table((5, DONE), (1, "new-secret-refused"), (5, "current-refused")),
    change_value: table((10, "drift"), (1, DONE)),
    roll_back: table((1, "drift"), (6, DONE), (3, "drift"), (1, DONE)),
    spoil_note: table((7, DONE), (3, "drift"), (1, DONE)),
    soft_delete: table(
        *((1, "entry-missing"), (6, DONE), (1, "vault-version-missing")),
        *((2, "entry-missing"), (1, DONE)),
    ),
    RotationFixture.drop_current: table(
        (7, "entry-missing"), (1, "vault-version-missing"), (2, "entry-missing"), (1, DONE)
    ),
    take_field: table((10, "field-missing"), (1, DONE)),
    change_key: table((7, "wrong-entry"), (4, DONE)),
}
#: On an account's first rotation, where nothing tells what belongs to what. A wrong value is
#: put right, as the new secret is the only one known to work.
FIRST: dict[Act, dict[str, str]] = {
    patch: table((11, DONE)),
    RotationFixture.drop_pending: table((11, DONE)),
    make_foreign: table((3, "unknown-current"), (2, "foreign-secret"), (6, DONE)),
    revoke_old: table((5, "current-refused"), (6, DONE)),
    revoke_new: table((5, DONE), (1, "new-secret-refused"), (5, "current-refused")),
    change_value: table((1, "current-refused"), (6, DONE), (3, "drift"), (1, DONE)),
    spoil_note: table((7, DONE), (3, "drift"), (1, DONE)),
}
#: Lost races: what a request did that nobody could know to be wrong any more.
EXCUSED: dict[tuple[Act, str], set[str]] = {
    (RotationFixture.drop_pending, "create"): {
        "a secret was made that is nowhere in Vault",
        "a value was pushed that is not the pending one",
    },
    (RotationFixture.drop_pending, "probe"): {"a value was pushed that is not the pending one"},
    (RotationFixture.drop_pending, "push"): {"a value was pushed that is not the pending one"},
    (soft_delete_pending, "create"): {
        "a secret was made that is nowhere in Vault",
        "a value was pushed that is not the pending one",
    },
    (soft_delete_pending, "probe"): {"a value was pushed that is not the pending one"},
    (soft_delete_pending, "push"): {"a value was pushed that is not the pending one"},
    (RotationFixture.drop_current, "clear"): {"the only copy of a live secret was lost"},
    (revoke_new, "push"): {
        "a value was pushed that does not work",
        "the value in Vault stopped working",
        "the secret in Vault was deleted",
    },
    (roll_back, "delete"): {
        "the value in Vault stopped working",
        "the secret in Vault was deleted",
    },
}


def cases(tables: dict[Act, dict[str, str]]) -> list[object]:
    """Return a parameter set for each cell."""
    return [
        pytest.param(act, request, expected, id=f"{act.__name__}-{request}")
        for act, outcomes in tables.items()
        for request, expected in outcomes.items()
    ]


def told(report: PassResult) -> str:
    """Return the error's code, or the outcome."""
    return report.error.code if report.error else report.outcome.value


def interfered(fixture: RotationFixture, act: Act, request: str) -> PassResult:
    """Rotate, with `act` just before `request` takes effect."""
    fixture.monitor.excused = EXCUSED.get((act, request), set())
    fixture.before_request(REQUESTS.index(request) + 1, lambda _seen: act(fixture))
    return fixture.attempt()


def test_the_requests_are_as_named(tmp_path: Path) -> None:
    """The tables are about the requests that a rotation makes."""
    with RotationFixture(tmp_path) as fixture:
        fixture.attempt()
        names = [
            name.partition(".")[2]
            for name in fixture.calls.names
            if name.startswith(("issuer.", "store."))
        ]

        assert len(fixture.requests()) == len(REQUESTS) == len(names)
        assert names == [
            *("read_current", "read_pending", "list_secrets", "write_pending", "create_secret"),
            *("list_secrets", "write_current", "read_version", "clear_pending"),
            # The last look comes right before the first byte of the deletion.
            *("delete_secret", "read_current"),
        ]


@pytest.mark.slow
@pytest.mark.parametrize(("act", "moment", "expected"), cases(NOTED))
def test_amid_a_later_rotation(tmp_path: Path, act: Act, moment: str, expected: str) -> None:
    """Whatever is changed from outside is named; what consumers may need stays."""
    with RotationFixture(tmp_path, rotated_before=True) as fixture:
        report = interfered(fixture, act, moment)

        assert told(report) == expected


@pytest.mark.parametrize(("act", "moment", "expected"), cases(FIRST))
def test_amid_a_first_rotation(tmp_path: Path, act: Act, moment: str, expected: str) -> None:
    """Likewise where no note tells yet which secret Vault holds."""
    with RotationFixture(tmp_path) as fixture:
        report = interfered(fixture, act, moment)

        assert told(report) == expected


#: After the grace, when only the deletion is left.
LATE = ("read-current", "read-pending", "list", "read-again", "delete")


def late(*runs: tuple[int, str]) -> dict[str, str]:
    """Return how the deletion ends if something happens just before each request."""
    outcomes = [outcome for count, outcome in runs for _ in range(count)]
    return dict(zip(LATE, outcomes, strict=True))


GRACE: dict[Act, dict[str, str]] = {
    patch: late((5, DONE)),
    revoke_old: late((5, DONE)),
    revoke_new: late((5, "current-refused")),
    change_value: late((4, "drift"), (1, DONE)),
    roll_back: late((4, "drift"), (1, DONE)),
    spoil_note: late((4, "drift"), (1, DONE)),
    soft_delete: late((4, "entry-missing"), (1, DONE)),
    RotationFixture.drop_current: late((4, "entry-missing"), (1, DONE)),
    take_field: late((4, "field-missing"), (1, DONE)),
}


@pytest.mark.parametrize(("act", "moment", "expected"), cases(GRACE))
def test_amid_the_deletion(tmp_path: Path, act: Act, moment: str, expected: str) -> None:
    """Once the grace is over, the predecessor goes only if Vault still holds what was pushed."""
    with RotationFixture(tmp_path, grace=timedelta(hours=1)) as fixture:
        fixture.attempt()
        fixture.clock.advance(hours=1)
        fixture.restart()
        fixture.monitor.excused = EXCUSED.get((act, moment), set())
        fixture.before_request(LATE.index(moment) + 1, lambda _seen: act(fixture))
        report = fixture.resume()

        assert told(report) == expected
        assert (len(fixture.secrets()) == 2) is (expected not in (DONE, "current-refused"))


def test_drift_is_refused_until_it_is_put_right(tmp_path: Path) -> None:
    """A value changed by hand in the grace holds the account; rolling it back frees it."""
    with RotationFixture(tmp_path, grace=timedelta(hours=1)) as fixture:
        fixture.attempt()
        fixture.patch(api_secret="ByHand1234")
        fixture.clock.advance(hours=1)
        first, second = fixture.resume(), fixture.resume()
        fixture.roll_back()
        third = fixture.resume()

        assert (told(first), told(second), told(third)) == ("drift", "drift", DONE)
        assert len(fixture.secrets()) == 1


def test_a_new_secret_revoked_in_its_grace_can_be_recovered_from(tmp_path: Path) -> None:
    """Doing what the hints say, one after the other, leads to an account that rotates again."""
    with RotationFixture(tmp_path, grace=timedelta(hours=1)) as fixture:
        fixture.attempt()
        old = fixture.secrets()[0]
        revoke_new(fixture)
        fixture.clock.advance(hours=1)
        refused = fixture.resume()
        adopted = fixture.adopt(old.value)
        ended = fixture.rotation()
        again = fixture.attempt()

        assert told(refused) == "current-refused"
        assert "`rotator adopt account-1" in str(refused.error and refused.error.hint)
        assert adopted.secret.id == old.id
        assert (ended and ended.error_code) == "superseded"
        assert told(again) == "awaiting-deletion"
        assert old in fixture.secrets()


def test_a_value_put_back_by_hand_ends_the_rotation_too(tmp_path: Path) -> None:
    """Who wrote the old value to Vault first adopts it from there."""
    with RotationFixture(tmp_path, grace=timedelta(hours=1)) as fixture:
        fixture.attempt()
        old = fixture.secrets()[0]
        revoke_new(fixture)
        fixture.patch(api_secret=old.value)
        fixture.clock.advance(hours=1)
        drifted = fixture.resume()
        adopted = fixture.adopt(None)
        fixture.clock.advance(days=1)
        again = fixture.attempt(grace=timedelta())

        assert told(drifted) == "drift"
        assert "--from-vault" in str(drifted.error and drifted.error.hint)
        assert adopted.secret.id == old.id
        assert told(again) == DONE
        assert old not in fixture.secrets()


def test_what_is_gone_when_its_deletion_arrives_is_deleted(tmp_path: Path) -> None:
    """Somebody else was quicker: that is success, and nothing has to be looked at once more."""
    with RotationFixture(tmp_path, rotated_before=True) as fixture:
        fixture.calls.plan("before", "issuer.delete_secret", 1, lambda: revoke_old(fixture))
        report = fixture.attempt()

        assert report.outcome == DONE
        assert fixture.events()[-3:] == ["intent delete", "done delete", "closed complete"]
        assert fixture.requests()[-1].startswith("DELETE ")
