"""Rows as values, and back."""

from collections.abc import Mapping
from dataclasses import fields
from datetime import timedelta
from typing import Any

from sqlalchemy import RowMapping

from rotator.ledger.tables import Row
from rotator.model import Rotation, Step

#: Fields that a row holds under the same name, as they are.
_SAME = {field.name for field in fields(Rotation)} - {"grace", "rejected", "step"}


def to_row(rotation: Rotation) -> Row:
    """Give the row of `rotation`."""
    return {name: getattr(rotation, name) for name in _SAME} | {
        "step": rotation.step.value,
        "grace_seconds": rotation.grace.total_seconds(),
        "rejected": int(rotation.rejected),
        "delete_due_at": rotation.delete_due_at,
    }


def from_row(row: RowMapping) -> Rotation:
    """Give the rotation in `row`."""
    return Rotation(
        step=Step(row["step"]),
        grace=timedelta(seconds=row["grace_seconds"]),
        rejected=bool(row["rejected"]),
        **{name: row[name] for name in _SAME},
    )


def hold_text(row: Mapping[str, Any]) -> str | None:
    """Say who holds the account in `row`, and why; None where nobody does."""
    return f"{row['hold_reason']} ({row['held_by']})" if row["hold_reason"] else None
