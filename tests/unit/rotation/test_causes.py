"""What became of the secret that consumers read, and what that means for them."""

from dataclasses import replace
from typing import Any

import pytest

from rotator.model import Step, Written
from rotator.rotation import refusals
from rotator.rotation.causes import cause_of, explained
from rotator.rotation.steps.bookkeeping import Refuse
from tests.support.observations import observed
from tests.support.samples import NOW
from tests.unit.rotation.protocol.facts import ACCOUNT, BOTH, CURRENT, NOTE, OLD, ROTATION

DEAD = "consumers read a secret that does not work"
REVOKED = f"revoked it: {DEAD}"
NOTHING = "consumers read nothing"
WORKS = "consumers still read a secret that works"
ENDS_SOON = "consumers still read it, and it stops working soon"
PATH = ACCOUNT.vault_path
FOREIGN = f"the Vault entry {PATH} has another text in field {ACCOUNT.key_field} than API key "
FOREIGN += ACCOUNT.api_key
WRITTEN = Written(version=CURRENT.version)
#: Vault has what rotator wrote, and Vonage refuses it.
REFUSED = {"current": CURRENT, "written": WRITTEN}
PUSHED = replace(ROTATION, vault_version=CURRENT.version, new_id=NOTE.secret_id, step=Step.WAIT)


@pytest.mark.parametrize(
    ("facts", "code", "why"),
    [
        ({}, "entry-missing", f"Vault has no entry at {PATH}"),
        (
            {"written": WRITTEN},
            "entry-missing",
            f"someone else removed the Vault entry {PATH} with all its versions: {NOTHING}",
        ),
        (
            {"current_version": 7},
            "entry-missing",
            f"someone else destroyed version 7 of {PATH} in Vault: {NOTHING}",
        ),
        (
            {"current": replace(CURRENT, has_value=False, note=None)},
            "field-missing",
            f"the Vault entry {PATH} has no text in field {ACCOUNT.secret_field}",
        ),
        (
            {"current": replace(CURRENT, is_foreign=True)},
            "wrong-entry",
            FOREIGN,
        ),
        # The id in the note is in no list and in no record: it may be anything.
        (
            REFUSED,
            "current-refused",
            f"Vonage refuses the secret that Vault's note names, as if someone else had {REVOKED}",
        ),
        (
            {**REFUSED, "note_is_recorded": True},
            "current-refused",
            f"Vonage refuses secret {NOTE.secret_id}, as if someone else had {REVOKED}",
        ),
        # Another credential's list shows that.
        (
            {**REFUSED, "note_is_recorded": True, "listed": ()},
            "current-refused",
            f"someone else revoked secret {NOTE.secret_id} at Vonage: {DEAD}",
        ),
        (
            {**REFUSED, "deleted_ids": frozenset({NOTE.secret_id})},
            "current-refused",
            f"secret {NOTE.secret_id}, which Vault holds, was deleted by rotator: {DEAD}",
        ),
        (
            {**REFUSED, "rotation": replace(PUSHED, id=NOTE.rotation_id), "listed": ()},
            "current-refused",
            f"someone else revoked secret {NOTE.secret_id} at Vonage: {DEAD}",
        ),
        (
            {
                **REFUSED,
                "note_is_recorded": True,
                "listed": (),
                "current_authenticated_at": NOW,
            },
            "drift",
            f"someone else revoked secret {NOTE.secret_id} at Vonage: {ENDS_SOON}",
        ),
        # By its parent's credential, Vonage lists it all the same.
        (
            {**REFUSED, "listed": BOTH},
            "current-refused",
            f"Vonage refuses the value that Vault holds: {DEAD}",
        ),
        # Nobody knows that it ever worked.
        (
            {"current": replace(CURRENT, note=None, intact=False)},
            "current-refused",
            f"Vonage refuses the value that Vault holds: {DEAD}",
        ),
        (
            {"current": replace(CURRENT, note=None, intact=False), "written": WRITTEN},
            "drift",
            f"someone else changed the Vault entry {PATH}: {DEAD}",
        ),
        (
            {
                "current": replace(CURRENT, intact=False),
                "listed": (OLD,),
                "current_authenticated_at": NOW,
            },
            "drift",
            f"someone else changed the Vault entry {PATH}: {WORKS}",
        ),
        # A secret that rotator has deleted, put back as a newer version.
        (
            {
                "current": CURRENT,
                "written": Written(version=CURRENT.version - 1),
                "deleted_ids": frozenset({NOTE.secret_id}),
            },
            "drift",
            f"someone else changed the Vault entry {PATH}: {DEAD}",
        ),
        (
            {**REFUSED, "rotation": replace(PUSHED, id="another")},
            "drift",
            f"someone else changed the Vault entry {PATH}: {DEAD}",
        ),
    ],
)
def test_an_act_and_what_it_means_are_one_sentence(
    facts: dict[str, Any], code: str, why: str
) -> None:
    """By what is observed alone."""
    cause = cause_of(ACCOUNT, observed(**facts))

    assert (cause.code, cause.why) == (code, why)


def test_a_refusal_names_what_breaks_consumers_first_and_once() -> None:
    """What keeps rotator from mending it comes behind."""
    broken = observed(**REFUSED)
    fine = observed(**REFUSED, listed=BOTH, current_authenticated_at=NOW)
    refusal = Refuse(code="x", why="both slots are taken", hint="y")
    why = cause_of(ACCOUNT, broken).why
    prefixed = explained(refusal, ACCOUNT, broken)

    assert prefixed == replace(refusal, why=f"{why}; both slots are taken")
    assert explained(prefixed, ACCOUNT, broken) == prefixed
    assert explained(refusal, ACCOUNT, fine) == refusal


def test_an_entry_of_another_account_may_be_a_change_by_someone() -> None:
    """The configuration is right then, and an older version of the entry is."""
    hint = refusals.wrong_entry(ACCOUNT).hint

    assert hint
    assert hint.startswith("correct `vault_path`, `api_key` or `key_field`")
    assert f"`vault kv metadata get {ACCOUNT.identity.vault_path}`" in hint
