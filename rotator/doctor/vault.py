"""Vault: reachable, unsealed, login and token, the mount, and the policy's capabilities."""

from collections.abc import Iterator
from datetime import timedelta

from rotator.application import Application
from rotator.doctor import check
from rotator.doctor.check import CheckResult, bad, broken, doubtful, fine
from rotator.errors import LoginFailed, MountUnusable, RotatorError, StoreForbidden, TokenRefused
from rotator.reporting.text import span
from rotator.vault import TokenInfo
from rotator.vault.system import SystemApi

_SHORT = timedelta(days=1)
#: What a token should be allowed to do with itself, and the consequence where it is not.
_SELF = {
    "auth/token/lookup-self": ("read", "its expiry is not known"),
    "auth/token/renew-self": ("update", "it is not renewed"),
    "auth/token/revoke-self": ("update", "a login's token outlives rotator"),
}
_SELF_HINT = (
    "grant what README's policy has for lookup-self, renew-self, revoke-self and"
    " sys/capabilities-self, or add the policy `default`"
)


def checks(application: Application) -> Iterator[CheckResult]:
    """Check Vault. If it is unreachable or unusable, the dependent checks are omitted."""
    system = SystemApi(application.clients.vault)
    try:
        health = system.health()
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
    yield from _used(application, system)


def _used(application: Application, system: SystemApi) -> Iterator[CheckResult]:
    """Run the checks that need a token. Without one, there are no more."""
    method = application.settings.vault.auth.method
    mount = application.settings.vault.mount
    try:
        token = application.clients.vault.look_up_token()
    except RotatorError as error:
        if isinstance(error, LoginFailed | TokenRefused) or not isinstance(error, StoreForbidden):
            yield broken("vault login", method, error)
            return
        token = None
    yield fine("vault login", method, "Vault accepts the token")
    yield _token(token, method)
    try:
        application.clients.store.check()
        required = system.requires_check_and_set(mount)
    except RotatorError as error:
        yield broken("vault mount", mount, error)
        if isinstance(error, MountUnusable):
            return
    else:
        yield fine("vault mount", mount, "KV version 2")
        findings = {
            True: "required of everyone",
            False: "not required of others; rotator always sends it",
            None: "whether others need it is not this token's to see; rotator always sends it",
        }
        yield fine("check-and-set", mount, findings[required])
    yield from _capabilities(application, system)


def _token(token: TokenInfo | None, method: str) -> CheckResult:
    """Check a token by Vault's information on it; None where its policy denies the lookup."""
    if token is None:
        missed = "it is not renewed" if method == "token" else "rotator logs in again instead"
        finding = f"it may not look itself up: its expiry is not known, and {missed}"
        return doubtful("vault token", "", finding, _SELF_HINT)
    if "root" in token.policies:
        hint = "issue a token with the policy that README lists"
        return doubtful("vault token", "", "a root token, which may do anything", hint)
    if token.uses:
        finding = f"good for {token.uses} more requests"
        if method != "token":
            return fine("vault token", "", f"{finding}; rotator logs in again in time")
        hint = "have one issued without a limit to its uses (num_uses)"
        return doubtful("vault token", "", finding, hint)
    if token.expires_at is None:
        return fine("vault token", "", "does not expire")
    left = timedelta(seconds=token.ttl)
    finding = f"{span(left)} left, {'' if token.renewable else 'not '}renewable"
    # After a login's token, another login follows.
    if method == "token" and left < _SHORT and not token.renewable:
        return doubtful("vault token", "", finding, "have a fresh one issued before it ends")
    return fine("vault token", "", finding)


def _capabilities(application: Application, system: SystemApi) -> Iterator[CheckResult]:
    mount = application.settings.vault.mount
    #: What a rotation needs on each path, and what `adopt` alone needs besides.
    needed: dict[str, tuple[set[str], set[str]]] = {}
    for account in application.settings.accounts:
        pending = account.pending_path
        needed[f"{mount}/data/{account.vault_path}"] = ({"read", "update"}, {"create"})
        needed[f"{mount}/data/{pending}"] = ({"create", "read", "update"}, set())
        needed[f"{mount}/destroy/{pending}"] = ({"update"}, set())
    try:
        granted = system.capabilities([*needed, *_SELF])
    except StoreForbidden as error:
        # The token may not query its own capabilities.
        yield bad("vault policy", "", error.message, _SELF_HINT)
        return
    except RotatorError as error:
        yield broken("vault policy", "", error)
        return
    for path, (always, sometimes) in needed.items():
        yield _grant(path, granted[path], always, sometimes)
    for path, (capability, lost) in _SELF.items():
        if not granted[path] & {capability, "root"}:
            hint = f'in the token\'s policy: path "{path}" {{ capabilities = ["{capability}"] }}'
            yield doubtful("vault policy", path, f"{capability} is not granted: {lost}", hint)


def _grant(
    path: str, granted: frozenset[str], always: set[str], sometimes: set[str]
) -> CheckResult:
    missing = sorted(always - granted)
    if "root" in granted:
        return fine("vault policy", path, "everything")
    if missing:
        listed = ", ".join(f'"{each}"' for each in sorted(always | sometimes))
        hint = f'in the token\'s policy: path "{path}" {{ capabilities = [{listed}] }}'
        return bad("vault policy", path, f"{', '.join(missing)} is not granted", hint)
    if sometimes - granted:
        hint = "grant it if `rotator adopt NAME` is to create the entry"
        return doubtful("vault policy", path, "create is not granted", hint)
    return fine("vault policy", path, ", ".join(sorted(always | sometimes)))
