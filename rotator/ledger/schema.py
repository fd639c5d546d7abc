"""The schema's revision: checked at start, and upgraded if needed.

Alembic is imported only for an upgrade: the check is one small query.
"""

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, func, inspect, select, text

from rotator.errors import LedgerUnusable
from rotator.ledger.database import reading, writing

if TYPE_CHECKING:
    from alembic.config import Config

#: The revision that this version of rotator works with; the newest one in `migrations/`.
HEAD = "0020"
#: The oldest versions that the ledger works with. SQLite before 3.35.5 lacks `DROP COLUMN` and
#: `RETURNING`, or damages the file with the former.
OLDEST: dict[str, tuple[int, ...]] = {"sqlite": (3, 35, 5), "postgresql": (14,)}
_TITLES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
_UPGRADES = {
    "sqlite": "use a Python whose `sqlite3.sqlite_version` is newer, such as Debian 12's",
    "postgresql": "upgrade the server",
}
#: An arbitrary number that is no other advisory lock of the database.
_UPGRADE_LOCK = 7_284_310_559


def revision(engine: Engine) -> str | None:
    """Return the database's revision; None where it has no schema yet.

    Raises:
        LedgerUnusable: the database's version is too old.
        LedgerError: the database cannot be read.
    """
    with reading(engine) as connection:
        _require_version(connection)
        return _revision(connection)


def ensure(engine: Engine, *, auto_upgrade: bool) -> None:
    """Check that the schema is the one that this version works with.

    Raises:
        LedgerUnusable: it is newer, or older and `auto_upgrade` is off, or not rotator's; or the
            database's version is too old, or its encoding cannot store all text.
        LedgerError: the database cannot be read or written.
    """
    with reading(engine) as connection:
        _require_version(connection)
        _require_unicode(connection)
        present = _revision(connection)
    if present == HEAD:
        return
    if auto_upgrade:
        upgrade(engine)
        return
    with reading(engine) as connection:
        _check_origin(connection)
    raise LedgerUnusable("the ledger's schema is not up to date", hint="run `rotator db upgrade`")


def require_own(engine: Engine) -> None:
    """Refuse a database that holds something else, or whose ledger is in another schema.

    Raises:
        LedgerUnusable: it is such a one.
        LedgerError: the database cannot be read.
    """
    with reading(engine) as connection:
        _check_origin(connection)


def upgrade(engine: Engine) -> None:
    """Bring the schema to `HEAD`, in one transaction that excludes other upgrades.

    Raises:
        LedgerUnusable: the schema is newer, or not rotator's, or the database's version is too old;
            nothing was changed.
        LedgerError: the database cannot be read or written; nothing was changed.
    """
    from alembic import command  # noqa: PLC0415  # a tenth of a second that most runs never need

    config = alembic_config()
    with writing(engine, is_long=True) as connection:
        _require_version(connection)
        if connection.dialect.name == "postgresql":
            connection.execute(select(func.pg_advisory_xact_lock(_UPGRADE_LOCK)))
        _check_origin(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, HEAD)


def migrations() -> Path:
    """Return the folder of the migrations: in an installed wheel, else in the checkout."""
    installed = Path(str(resources.files("rotator"))) / "migrations"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "migrations"


def alembic_config() -> "Config":
    """Return Alembic's configuration; callers put their connection into `attributes`."""
    from alembic.config import Config  # noqa: PLC0415  # as above

    config = Config()
    config.set_main_option("script_location", str(migrations()).replace("%", "%%"))
    return config


def _check_origin(connection: Connection) -> None:
    """Refuse a schema that none of these migrations created."""
    from alembic.script import ScriptDirectory  # noqa: PLC0415  # as above

    present = _revision(connection)
    if present is not None:
        scripts = ScriptDirectory(str(migrations())).walk_revisions()
        if present not in {script.revision for script in scripts}:
            raise LedgerUnusable(
                f"the schema of the database, {present}, is not known to this version",
                hint="install the newer version of rotator that made it, or use another database",
            )
        return
    _require_unicode(connection)
    if elsewhere := _schema_of_another(connection):
        raise LedgerUnusable(
            f"there is a ledger in schema {elsewhere}, and search_path does not name that",
            hint="set the search_path of the database's user",
        )
    if others := sorted(set(inspect(connection).get_table_names()) - {"alembic_version"}):
        named = ", ".join(others[:_NAMED]) + (", …" if others[_NAMED:] else "")
        raise LedgerUnusable(
            f"the database holds tables that are not the ledger's: {named}",
            hint="give the ledger a database of its own",
        )


#: How many tables are named that are not the ledger's.
_NAMED = 3


def _schema_of_another(connection: Connection) -> str | None:
    """Return a schema outside of search_path that contains this user's ledger; None for none."""
    if connection.dialect.name != "postgresql":
        return None
    query = text(
        "SELECT min(made.schemaname) FROM pg_tables made JOIN pg_tables kept USING (schemaname) "
        "WHERE made.tablename = 'alembic_version' AND kept.tablename = 'entry' "
        "AND made.tableowner = current_user"
    )
    found: str | None = connection.execute(query).scalar()
    return found


def _require_version(connection: Connection) -> None:
    """Refuse a database that is older than what the ledger was tested with."""
    name, present = connection.dialect.name, connection.dialect.server_version_info or ()
    oldest = OLDEST[name]
    if present < oldest:
        raise LedgerUnusable(
            f"the ledger needs {_TITLES[name]} {_dotted(oldest)} or newer, "
            f"and this is {_dotted(present)}",
            hint=_UPGRADES[name],
        )


def _dotted(version: tuple[int | str, ...]) -> str:
    return ".".join(map(str, version))


def _require_unicode(connection: Connection) -> None:
    """Refuse a database that cannot store every text unchanged, or returns it as bytes."""
    if connection.dialect.name != "postgresql":
        return
    encoding = connection.execute(text("SHOW server_encoding")).scalar_one()
    if encoding != "UTF8":
        raise LedgerUnusable(
            f"the database's encoding is {encoding}, which cannot hold every text",
            hint="make another with ENCODING 'UTF8' TEMPLATE template0; `rotator db copy` moves a "
            "ledger",
        )


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found
