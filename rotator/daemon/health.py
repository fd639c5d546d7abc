"""Whether ledger, Vault and Vonage can be used: told once for each change, not at each try."""

import threading

import structlog

from rotator.errors import (
    IssuerUnavailable,
    LedgerError,
    LedgerUnusable,
    LoginFailed,
    NotSent,
    RotatorError,
    StoreSealed,
    StoreUnavailable,
    TokenRefused,
    WrappingSpent,
)

_log = structlog.get_logger(__name__)

#: Codes of errors that are about a whole component, not about one account.
_COMPONENTS = {
    NotSent.code: "vonage",
    IssuerUnavailable.code: "vonage",
    StoreUnavailable.code: "vault",
    StoreSealed.code: "vault",
    TokenRefused.code: "vault",
    LoginFailed.code: "vault",
    WrappingSpent.code: "vault",
    LedgerError.code: "ledger",
}


class Health:
    """What is away, and since which error. Called from every thread."""

    def __init__(self) -> None:
        """Begin with everything there."""
        self._away: dict[str, str] = {}
        self._lock = threading.Lock()

    @property
    def away(self) -> list[str]:
        """Name the components that cannot be used."""
        with self._lock:
            return sorted(self._away)

    def failed(self, error: RotatorError) -> bool:
        """Take note of an error; give whether it was about a component."""
        component = component_of(error)
        if component:
            self.lost(component, error.code, error.message)
        return component is not None

    def lost(self, component: str, code: str, message: str) -> None:
        """Take note that a component cannot be used."""
        with self._lock:
            is_new, self._away[component] = self._away.get(component) != code, code
        if is_new:
            _log.warning("away", component=component, code=code, reason=message)

    def answered(self, component: str) -> None:
        """Take note that a component can be used."""
        with self._lock:
            was_away = self._away.pop(component, None)
        if was_away:
            _log.warning("back", component=component)


def component_of(error: RotatorError) -> str | None:
    """Name the component that `error` is about; None where it is about one account."""
    if isinstance(error, LedgerError | LedgerUnusable):
        return "ledger"
    if isinstance(error, StoreUnavailable | TokenRefused | LoginFailed):
        return "vault"
    return component_of_code(error.code)


def component_of_code(code: str) -> str | None:
    """Name the component that an error of this code is about."""
    return _COMPONENTS.get(code)
