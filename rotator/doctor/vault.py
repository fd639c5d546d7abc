"""Vault: reachable, unsealed, the token, the mount, and what the policy grants on each path."""

from collections.abc import Iterator
from datetime import timedelta

from rotator.doctor import clock
from rotator.doctor.check import Check, bad, broken, doubtful, fine
from rotator.errors import RotatorError
from rotator.model import Account
from rotator.vault.inquiry import Inquiry, Token
from rotator.wiring import Wiring

_SHORT = timedelta(days=1)


def checks(wiring: Wiring) -> Iterator[Check]:
    """Look at Vault. Where it cannot be reached or used, what depends on that is left out."""
    inquiry = Inquiry(wiring.vault)
    try:
        health = inquiry.health()
    except RotatorError as error:
        yield broken("vault reachable", wiring.settings.vault.address, error)
        return
    yield fine("vault reachable", wiring.settings.vault.address, f"Vault {health.version}")
    yield clock.check("vault", health.date)
    if health.is_sealed:
        yield bad("vault sealed", "", "Vault is sealed", "unseal it")
        return
    yield fine("vault sealed", "", "unsealed")
    try:
        token = inquiry.token()
    except RotatorError as error:
        yield broken("vault token", "", error)
        return
    yield _token(token)
    yield from _mount(wiring, inquiry)
    yield from _capabilities(wiring, inquiry)


def _token(token: Token) -> Check:
    if "root" in token.policies:
        cure = "issue a token with the policy that README lists"
        return doubtful("vault token", "", "a root token, which may do anything", cure)
    if token.ttl is None:
        return fine("vault token", "", "does not expire")
    left = f"{timedelta(seconds=token.ttl)} left, {'' if token.is_renewable else 'not '}renewable"
    if timedelta(seconds=token.ttl) < _SHORT and not token.is_renewable:
        return doubtful("vault token", "", left, "have a fresh one issued before it ends")
    return fine("vault token", "", left)


def _mount(wiring: Wiring, inquiry: Inquiry) -> Iterator[Check]:
    mount = wiring.settings.vault.mount
    try:
        wiring.store.check()
        required = inquiry.requires_check_and_set(mount)
    except RotatorError as error:
        yield broken("vault mount", mount, error)
        return
    yield fine("vault mount", mount, "KV version 2")
    told = {
        True: "required of everyone",
        False: "not required of others; rotator always sends it",
        None: "whether others need it is not this token's to see; rotator always sends it",
    }
    yield fine("check-and-set", mount, told[required])


def _needed(account: Account, mount: str) -> dict[str, tuple[frozenset[str], frozenset[str]]]:
    """Give for each path what a rotation needs, and what `adopt` alone needs besides."""
    pending = account.pending_path
    return {
        f"{mount}/data/{account.vault_path}": (
            frozenset({"read", "update"}),
            frozenset({"create"}),
        ),
        f"{mount}/data/{pending}": (frozenset({"create", "read", "update"}), frozenset()),
        f"{mount}/metadata/{pending}": (frozenset({"delete"}), frozenset()),
    }


def _capabilities(wiring: Wiring, inquiry: Inquiry) -> Iterator[Check]:
    mount = wiring.settings.vault.mount
    needed = {
        path: both
        for account in wiring.settings.accounts
        for path, both in _needed(account, mount).items()
    }
    try:
        granted = inquiry.capabilities(list(needed))
    except RotatorError as error:
        yield broken("vault policy", "", error)
        return
    for path, (always, sometimes) in needed.items():
        yield _grant(path, granted[path], always, sometimes)


def _grant(
    path: str, granted: frozenset[str], always: frozenset[str], sometimes: frozenset[str]
) -> Check:
    missing = sorted(always - granted)
    if "root" in granted:
        return fine("vault policy", path, "everything")
    if missing:
        listed = ", ".join(f'"{each}"' for each in sorted(always | sometimes))
        cure = f'in the token\'s policy: path "{path}" {{ capabilities = [{listed}] }}'
        return bad("vault policy", path, f"{', '.join(missing)} is not granted", cure)
    if sometimes - granted:
        cure = "grant it, if `rotator adopt` is to make the entry"
        return doubtful("vault policy", path, "create is not granted", cure)
    return fine("vault policy", path, ", ".join(sorted(always | sometimes)))
