"""Runs a migration on the connection that `rotator.ledger.schema` hands over."""

from alembic import context

from rotator.ledger.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite can do it: the ledger begins its transactions itself.
    transactional_ddl=True,
    # SQLite alters a table by making it anew.
    render_as_batch=True,
)
context.run_migrations()
