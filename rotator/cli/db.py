"""`db upgrade` and `db current`: the ledger's schema."""

import typer

from rotator.cli import output
from rotator.cli.session import Session

_NONE = "none: `rotator db upgrade` makes it"


def current(context: typer.Context) -> None:
    """Show the revision of the ledger's schema."""
    session = Session.of(context)
    with session.wiring(session.configured(), offline=True) as wiring:
        output.write(wiring.revision() or _NONE)


def upgrade(context: typer.Context) -> None:
    """Make the ledger, or bring its schema up to date."""
    session = Session.of(context)
    with session.wiring(session.configured(), offline=True) as wiring:
        before = wiring.revision()
        wiring.upgrade()
        after = wiring.revision()
    output.write(f"{after}, as before" if after == before else f"{before or 'none'} -> {after}")
