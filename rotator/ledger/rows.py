"""Rows as values, and back."""

from collections.abc import Mapping
from dataclasses import fields
from datetime import timedelta
from typing import Any

from sqlalchemy import RowMapping

from rotator.ledger.identities import columns_of, identity_of
from rotator.ledger.tables import Row
from rotator.model import Hold, Rotation, Step

#: Fields that a row holds under the same name, as they are.
_SAME = {field.name for field in fields(Rotation)} - {"grace", "identity", "rejected", "step"}


def to_row(rotation: Rotation) -> Row:
    """Give the row of `rotation`."""
    return {name: getattr(rotation, name) for name in _SAME} | {
        "step": rotation.step.value,
        "grace_seconds": rotation.grace.total_seconds(),
        "rejected": int(rotation.rejected),
        "delete_due_at": rotation.delete_due_at,
        **columns_of(rotation.identity),
    }


def from_row(row: RowMapping) -> Rotation:
    """Give the rotation in `row`."""
    return Rotation(
        step=Step(row["step"]),
        grace=timedelta(seconds=row["grace_seconds"]),
        rejected=bool(row["rejected"]),
        identity=identity_of(row),
        **{name: row[name] for name in _SAME},
    )


def hold_of(row: RowMapping | Mapping[str, Any]) -> Hold | None:
    """Say who holds the account in `row`, and why; None where nobody does."""
    if not row["hold_reason"]:
        return None
    return Hold(
        reason=row["hold_reason"],
        by=row["held_by"],
        at=row["held_at"],
        freeze=bool(row["hold_freeze"]),
    )
