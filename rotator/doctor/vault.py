"""Vault: reachable, unsealed, login and token, the mount, and the policy's capabilities."""

from collections.abc import Iterator
from datetime import timedelta

from rotator.application import Application
from rotator.doctor import check
from rotator.doctor.check import CheckResult, bad, broken, doubtful, fine
from rotator.errors import LoginFailed, MountUnusable, RotatorError, StoreForbidden, TokenRefused
from rotator.model import Account
from rotator.vault import TokenInfo
from rotator.vault.system import SystemApi

_SHORT = timedelta(days=1)
#: What a token should be allowed to do with itself, and the consequence where it is not.
_SELF = {
    "auth/token/lookup-self": ("read", "when it ends is not known"),
    "auth/token/renew-self": ("update", "it is not renewed"),
    "auth/token/revoke-self": ("update", "one that was logged in for lives on when rotator ends"),
}
_SELF_CURE = (
    "grant what README's policy has for lookup-self, renew-self, revoke-self and"
    " sys/capabilities-self, or add the policy `default`"
)


def checks(application: Application) -> Iterator[CheckResult]:
    """Check Vault. If it is unreachable or unusable, the dependent checks are omitted."""
    inquiry = SystemApi(application.clients.vault)
    try:
        health = inquiry.health()
    except RotatorError as error:
        yield broken("vault reachable", application.settings.vault.address, error)
        return
    yield fine("vault reachable", application.settings.vault.address, f"Vault {health.version}")
    yield check.clock_check("vault", health.date)
    if not health.is_initialised:
        yield bad("vault sealed", "", "Vault is not initialised", "initialise it, and unseal it")
        return
    if health.is_sealed:
        yield bad("vault sealed", "", "Vault is sealed", "unseal it")
        return
    yield fine("vault sealed", "", "unsealed")
    yield from _used(application, inquiry)


def _used(application: Application, inquiry: SystemApi) -> Iterator[CheckResult]:
    """Run the checks that need a token. Without one, there are no more."""
    method = application.settings.vault.auth.method
    try:
        token = application.clients.vault.look_up_token()
    except (LoginFailed, TokenRefused) as error:
        yield broken("vault login", method, error)
        return
    except StoreForbidden:
        token = None
    except RotatorError as error:
        yield broken("vault login", method, error)
        return
    yield fine("vault login", method, "Vault accepts the token")
    yield _token(token, method)
    try:
        yield from _mount(application, inquiry)
    except MountUnusable as error:
        yield broken("vault mount", application.settings.vault.mount, error)
        return
    yield from _capabilities(application, inquiry)


def _token(token: TokenInfo | None, method: str) -> CheckResult:
    """Check a token by Vault's information on it; None where its policy denies the lookup."""
    if token is None:
        missed = "it is not renewed" if method == "token" else "it is logged in for anew instead"
        finding = f"it may not look itself up: its end is not known, and {missed}"
        return doubtful("vault token", "", finding, _SELF_CURE)
    if "root" in token.policies:
        cure = "issue a token with the policy that README lists"
        return doubtful("vault token", "", "a root token, which may do anything", cure)
    if token.uses:
        return _limited(token, method)
    if token.expires_at is None:
        return fine("vault token", "", "does not expire")
    left = timedelta(seconds=token.ttl)
    finding = f"{left} left, {'' if token.renewable else 'not '}renewable"
    # After a login's token, another login follows.
    if method == "token" and left < _SHORT and not token.renewable:
        return doubtful("vault token", "", finding, "have a fresh one issued before it ends")
    return fine("vault token", "", finding)


def _limited(token: TokenInfo, method: str) -> CheckResult:
    """Check a token with a limited number of uses."""
    finding = f"good for {token.uses} more requests"
    if method == "token":
        cure = "have one issued without a limit to its uses (num_uses)"
        return doubtful("vault token", "", finding, cure)
    return fine("vault token", "", f"{finding}, and logged in for anew in time")


def _mount(application: Application, inquiry: SystemApi) -> Iterator[CheckResult]:
    mount = application.settings.vault.mount
    try:
        application.clients.store.check()
        required = inquiry.requires_check_and_set(mount)
    except MountUnusable:
        raise
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
    """Return what a rotation needs on each path, and what `adopt` alone needs besides."""
    pending = account.pending_path
    return {
        f"{mount}/data/{account.vault_path}": (
            frozenset({"read", "update"}),
            frozenset({"create"}),
        ),
        f"{mount}/data/{pending}": (frozenset({"create", "read", "update"}), frozenset()),
        f"{mount}/destroy/{pending}": (frozenset({"update"}), frozenset()),
    }


def _capabilities(application: Application, inquiry: SystemApi) -> Iterator[CheckResult]:
    mount = application.settings.vault.mount
    needed = {
        path: both
        for account in application.settings.accounts
        for path, both in _needed(account, mount).items()
    }
    try:
        granted = inquiry.capabilities([*needed, *_SELF])
    except StoreForbidden as error:
        # The token may not query its own capabilities.
        yield bad("vault policy", "", error.message, _SELF_CURE)
        return
    except RotatorError as error:
        yield broken("vault policy", "", error)
        return
    for path, (always, sometimes) in needed.items():
        yield _grant(path, granted[path], always, sometimes)
    for path, (capability, lost) in _SELF.items():
        if not granted[path] & {capability, "root"}:
            cure = f'in the token\'s policy: path "{path}" {{ capabilities = ["{capability}"] }}'
            yield doubtful("vault policy", path, f"{capability} is not granted: {lost}", cure)


def _grant(
    path: str, granted: frozenset[str], always: frozenset[str], sometimes: frozenset[str]
) -> CheckResult:
    missing = sorted(always - granted)
    if "root" in granted:
        return fine("vault policy", path, "everything")
    if missing:
        listed = ", ".join(f'"{each}"' for each in sorted(always | sometimes))
        cure = f'in the token\'s policy: path "{path}" {{ capabilities = [{listed}] }}'
        return bad("vault policy", path, f"{', '.join(missing)} is not granted", cure)
    if sometimes - granted:
        cure = "grant it, if `rotator adopt NAME` is to make the entry"
        return doubtful("vault policy", path, "create is not granted", cure)
    return fine("vault policy", path, ", ".join(sorted(always | sometimes)))
