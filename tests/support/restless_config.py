"""The configuration of accounts that are rotated every few seconds, in a cluster of Vault's."""

from collections.abc import Iterable

#: How rotator logs in to Vault, by a token or by AppRole; files beside the configuration.
TOKEN = """method = "token"
token_file = "token"
"""
APPROLE = """method = "approle"
role_id_file = "role-id"
secret_id_file = "secret-id"
"""
_SERVERS = """
[vonage]
api_url = "{vonage}"
rest_url = "{vonage}"
max_requests_per_second = 1000
propagation_timeout = "30s"

[vault]
address = "{vault}"
pending_prefix = "rotator/pending{place}"
timeout = "5s"
patience = "30s"

[vault.auth]
{login}
[ledger]
url = "{ledger}"

[policy]
grace = "0s"
jitter = "0s"

[daemon]
listen = ""
poll = "1s"
"""
_ACCOUNT = """
[[accounts]]
name = "{name}"
api_key = "{key}"
vault_path = "{path}"
every = "{every}"
grace = "{grace}"
"""


def key_of(name: str) -> str:
    """Return an account's api key."""
    return name.replace("-", "")


def path_of(name: str, place: str = "") -> str:
    """Return where an account's secret is in Vault; `place` is a folder there, of its own."""
    return f"vonage{_below(place)}/{name}"


def configuration(  # noqa: PLR0913  # all by name
    *,
    vonage: str,
    vault: str,
    login: str,
    ledger: str,
    accounts: Iterable[tuple[str, str, str]],
    place: str = "",
) -> str:
    """Return the configuration with these servers.

    Of each account, `accounts` has the name, how often a daemon rotates it, and its grace.
    """
    servers = _SERVERS.format(
        vonage=vonage, vault=vault, login=login, ledger=ledger, place=_below(place)
    )
    return servers + "".join(
        _ACCOUNT.format(
            name=name, key=key_of(name), path=path_of(name, place), every=every, grace=grace
        )
        for name, every, grace in accounts
    )


def _below(place: str) -> str:
    return f"/{place}" if place else ""
