"""What all tables of the file share."""

from pydantic import BaseModel, ConfigDict


class Table(BaseModel):
    """A table of the file: frozen, strict about types and about unknown keys."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        hide_input_in_errors=True,
        # Commands that read no configuration do not wait for its validators.
        defer_build=True,
    )
