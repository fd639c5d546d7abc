import hashlib
import pickle
from dataclasses import FrozenInstanceError, fields, replace
from datetime import timedelta

import pytest

from rotator import model
from rotator.model import Account, Credential, Note, Outcome, Secret, SecretValue, Step
from rotator.model.account import without_parents
from rotator.rotation.observation import Listing
from rotator.rotation.result import result_of
from tests.support.samples import NOW, account, rotation

VALUE = "Abcdefgh12345678"
ROTATION = rotation(grace=timedelta(hours=1))


def note(value: str = VALUE) -> Note:
    """Return a note that is bound to `value`."""
    check = Note.check_of(SecretValue(value), secret_id="new", rotation_id="r1")
    return Note(secret_id="new", rotation_id="r1", rotated_at=NOW, ledger_head="00", check=check)


@pytest.mark.parametrize("render", [repr, str, "{}".format, "%s".__mod__, "{!r:>30}".format])
def test_a_value_is_masked_however_it_is_rendered(render: "type[str]") -> None:
    """No formatting shows it, alone or inside a credential."""
    value = SecretValue(VALUE)
    credential = Credential(api_key="abcd1234", secret=value)

    assert VALUE not in render(value)
    assert VALUE not in render(credential)


def test_a_value_is_shown_only_when_asked_for() -> None:
    """`reveal` is the one way to it."""
    assert SecretValue(VALUE).reveal() == VALUE


def test_values_are_equal_by_content() -> None:
    """Two are equal if what they hold is; anything else is not equal to them."""
    assert SecretValue(VALUE) == SecretValue(VALUE)
    assert SecretValue(VALUE) != SecretValue("Other12345")
    assert SecretValue("é") == SecretValue("é")
    assert SecretValue(VALUE) != VALUE


def test_a_value_is_no_key() -> None:
    """It does not hash, so that it ends up in no set and no cache."""
    with pytest.raises(TypeError):
        hash(SecretValue(VALUE))


def test_a_value_does_not_leave_the_process() -> None:
    """It cannot be pickled, and the refusal does not show it."""
    with pytest.raises(TypeError) as refused:
        pickle.dumps(SecretValue(VALUE))

    assert VALUE not in str(refused.value)


def test_a_value_has_no_other_attributes() -> None:
    """Slots: nothing can be hung on it, and `vars` has nothing to show."""
    value = SecretValue(VALUE)

    assert not hasattr(value, "__dict__")


def test_a_digest_is_bound_to_its_salt() -> None:
    """It is SHA-256 over salt, a zero and the value."""
    value = SecretValue(VALUE)
    expected = hashlib.sha256(f"salt\0{VALUE}".encode()).hexdigest()

    assert value.digest("salt") == expected
    assert value.digest("other") != expected


def test_a_note_matches_the_value_it_was_written_with() -> None:
    """And no other value."""
    assert note().matches(SecretValue(VALUE))
    assert not note().matches(SecretValue("Other12345"))


@pytest.mark.parametrize("change", [{"secret_id": "old"}, {"rotation_id": "r2"}])
def test_a_note_with_other_ids_matches_nothing(change: dict[str, str]) -> None:
    """The ids are bound to the value, too: a note cannot be moved to another secret."""
    parts = {field.name: getattr(note(), field.name) for field in fields(Note)}
    moved = Note(**{**parts, **change})

    assert not moved.matches(SecretValue(VALUE))


def test_ids_cannot_be_shifted_into_one_another() -> None:
    """The ids ab and c are others than a and bc."""
    value = SecretValue(VALUE)
    one = Note.check_of(value, secret_id="ab", rotation_id="c")
    other = Note.check_of(value, secret_id="a", rotation_id="bc")

    assert one != other


def test_steps_come_in_the_order_of_a_rotation() -> None:
    """The enumeration can be read as the protocol's course."""
    assert [step.value for step in Step] == [
        *("open", "evict", "stage", "create", "probe", "push", "verify", "clear", "hooks"),
        *("wait", "withdraw", "delete", "prove", "complete", "abort"),
    ]


def test_the_deletion_is_due_a_grace_after_verification() -> None:
    """Before that there is no such time."""
    verified = replace(ROTATION, verified_at=NOW)

    assert ROTATION.delete_due_at is None
    assert verified.delete_due_at == NOW + timedelta(hours=1)


@pytest.mark.parametrize(
    ("listed", "ids"),
    [
        (None, set()),
        ((), set()),
        ((Secret(id="a", created_at=NOW), Secret(id="b", created_at=NOW)), {"a", "b"}),
    ],
)
def test_the_listed_ids_are_a_set(listed: tuple[Secret, ...] | None, ids: set[str]) -> None:
    """Where Vonage listed nothing there are none."""
    assert Listing(seen_at=NOW, secrets=listed).ids == ids


def test_a_result_describes_the_rotation_as_it_is() -> None:
    """Without a rotation it names the account and the outcome."""
    bare = result_of(account(), Outcome.IDLE, None)
    full = result_of(account(), Outcome.AWAITING_DELETION, ROTATION)

    assert (bare.account, bare.outcome, bare.rotation_id) == ("sms", Outcome.IDLE, None)
    assert (full.rotation_id, full.old_secret_id, full.new_secret_id) == ("r1", "old", None)
    assert (full.error, full.exit_code) == (None, 0)


def test_records_are_frozen_and_without_values() -> None:
    """No dataclass here can be changed, and only a credential holds a value."""
    kinds = [kind for kind in vars(model).values() if hasattr(kind, "__dataclass_fields__")]
    holders = [kind for kind in kinds if "SecretValue" in str([part.type for part in fields(kind)])]

    assert holders == [Credential]
    assert all(kind.__dataclass_params__.frozen for kind in kinds)
    with pytest.raises(FrozenInstanceError):
        ROTATION.id = "r2"  # type: ignore[misc]


PARENT, CHILD, OTHER = account("parent"), account("child", "parent"), account("other")


@pytest.mark.parametrize(
    ("waiting", "others", "expected"),
    [
        ([PARENT, CHILD, OTHER], [], [CHILD, OTHER]),
        ([PARENT, OTHER], [CHILD], [OTHER]),
        ([PARENT, OTHER], [], [PARENT, OTHER]),
        ([], [CHILD], []),
    ],
)
def test_a_parent_waits_for_its_children(
    waiting: list[Account], others: list[Account], expected: list[Account]
) -> None:
    """As long as one of them waits or runs; the order stays."""
    assert without_parents(waiting, others) == expected
