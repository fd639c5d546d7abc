"""The tables of the file: which there are, and the keys of each.

Each stands in a module of its own. A value that has a rule of its own is checked there; what
depends on other tables is checked in `document` and what it asks.
"""

from collections.abc import Mapping

from rotator.config.accounts import AccountTable
from rotator.config.daemon import Daemon
from rotator.config.discover import DiscoverTable
from rotator.config.hooks import HookTable
from rotator.config.ledger import Ledger
from rotator.config.policy import PolicyTable
from rotator.config.table import Table
from rotator.config.telemetry import Telemetry
from rotator.config.vault import Vault, VaultAuth
from rotator.config.vonage import Vonage

#: Every table by its path.
TABLES: Mapping[str, type[Table]] = {
    "vonage": Vonage,
    "vault": Vault,
    "vault.auth": VaultAuth,
    "ledger": Ledger,
    "policy": PolicyTable,
    "daemon": Daemon,
    "telemetry": Telemetry,
    "accounts": AccountTable,
    "discover": DiscoverTable,
    "hooks": HookTable,
}

#: Tables of which there may be several, which no variable can name.
LISTS = ("accounts", "discover", "hooks")

#: Keys of one table of which only one may be given.
EXCLUSIVE: Mapping[str, tuple[str, str]] = {
    "ledger": ("url", "url_file"),
    "policy": ("every", "cron"),
    "accounts": ("every", "cron"),
    "discover": ("every", "cron"),
}


def keys_of(table: str) -> list[str]:
    """Give the keys of a table; of the whole file for ""."""
    if not table:
        return [name for name in TABLES if "." not in name]
    return list(TABLES[table].model_fields) if table in TABLES else []


def paths_of(key: str) -> list[str]:
    """Give every path at which `key` is known."""
    return [f"{table}.{key}" for table, model in TABLES.items() if key in model.model_fields]
