"""The clock that leases and polls are measured by."""

from datetime import datetime

from sqlalchemy import Connection, func, select


def clock_of(connection: Connection, now: datetime) -> datetime:
    """Return the time on the clock that all users of the ledger share: `now`, or the server's."""
    if connection.dialect.name == "postgresql":
        shared: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
        return shared
    return now
