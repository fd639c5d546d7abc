"""Every error that rotator raises, as one tree.

A class's docstring is its default message; each error may carry a hint that tells the
operator what to do. Messages never hold a secret value or a response body.

    RotatorError
    ├── ConfigError              the configuration or the command line is wrong (exit 2)
    │   └── UnknownAccount, AddressTaken, LedgerUnusable
    ├── Refused                  an operator must decide (exit 3)
    ├── Busy                     another process works on it (exit 75)
    │   └── LeaseLost, Stopping
    ├── TooManyFiles
    ├── Aborted                  a rotation was undone before its secret was used
    │   └── PendingEnds          (exit 3)
    ├── BrokenDeletion           Vonage still accepts a secret that it has deleted
    ├── Withdrawn                the last look before an effect was too slow: it was not sent
    │   └── HoldChanged          (exit 3)
    ├── LedgerError
    │   └── LedgerFull (exit 3), LedgerConflict
    ├── WitnessUnavailable       a checkpoint of the ledger could not be published
    ├── WitnessConflict          what was published is not the beginning of this ledger (exit 3)
    ├── IssuerError              Vonage
    │   ├── IssuerRefusal        certainly no effect
    │   │   └── CredentialRefused (401), SecretRejected (400 on create), SlotsFull, LastSecret,
    │   │       SecretNotFound and AccountNotFound (404), Forbidden (403), RateLimited (429),
    │   │       RequestRefused (any other 4xx), NotSent (no connection)
    │   └── IssuerUnavailable, UnexpectedAnswer    outcome unknown
    └── StoreError               Vault
        ├── StoreUnavailable     outcome unknown
        │   └── StoreSealed, StoreNotReady (certainly no effect)
        ├── StoreForbidden       the token lacks a capability, or there is none
        │   └── TokenRefused, LoginFailed, WrappingSpent (exit 3)
        └── MountUnusable (exit 2), CheckAndSetLost, VersionMissing, UnexpectedEntry (exit 3)
"""

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any, ClassVar


def docstring_of(shown: type | Callable[..., Any]) -> str:
    """Return the docstring of a class or function without its indentation; "" for none."""
    return inspect.cleandoc(shown.__doc__ or _written(shown.__module__).get(shown.__qualname__, ""))


def first_line_of(shown: type) -> str:
    """Return the first line of a class's docstring, or of the first of its bases that has one.

    Python's own base classes are ignored.
    """
    ours = [each for each in shown.__mro__ if each.__module__ != "builtins"]
    text = next(filter(None, map(docstring_of, ours)), shown.__name__)
    return text.splitlines()[0]


@cache
def _written(module: str) -> dict[str, str]:
    """Return the docstrings in the source of a module, by name: Python may have dropped them."""
    import ast  # noqa: PLC0415  # rarely needed
    import sys  # noqa: PLC0415  # likewise

    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except (KeyError, OSError, TypeError):
        # Only bytecode is installed, or the module is built in.
        return {}
    defined = (ast.ClassDef, ast.FunctionDef)
    found = (node for node in tree.body if isinstance(node, defined))
    return {node.name: ast.get_docstring(node) or "" for node in found}


def reason_of(error: OSError) -> str:
    """Return the system's reason for an error, without the file's name."""
    return (error.strerror or "no reason given").lower()


class RotatorError(Exception):
    """rotator could not do what was asked."""

    #: Stable name for programs: the `code` in JSON output and in the ledger.
    code: str = "error"
    #: Exit code of the process if this error ends it.
    exit_code: ClassVar[int] = 1
    #: What an operator can do, unless the raiser supplies a better hint.
    default_hint: ClassVar[str | None] = None
    #: True where the attempt certainly had no effect: refused, not lost. An instance may override
    #: its class.
    definite: bool = False

    def __init__(
        self, message: str | None = None, *, hint: str | None = None, code: str | None = None
    ) -> None:
        """Use the class's docstring as the message unless one is given.

        `code` replaces the class's, where errors differ in their remedy, not in their handling.
        """
        self.message = message or first_line_of(type(self)).rstrip(".")
        self.hint = hint or self.default_hint
        self.code = code or self.code
        super().__init__(self.message)


class ConfigError(RotatorError):
    """the configuration is not usable."""

    code = "config"
    exit_code = 2
    definite = True


class UnknownAccount(ConfigError):
    """no account of that name is configured."""

    code = "unknown-account"


class AddressTaken(ConfigError):
    """it is not possible to listen there now."""

    code = "address-taken"


class LedgerUnusable(ConfigError):
    """the ledger cannot be used as it is."""

    code = "ledger-unusable"


class Refused(RotatorError):
    """refused: an operator must decide."""

    code = "refused"
    exit_code = 3


class Aborted(RotatorError):
    """the rotation was undone before its secret was used."""

    code = "aborted"
    default_hint = "nothing changed for consumers; the next run tries again"


class PendingEnds(Aborted):
    """the rotation was undone: Vault would remove the pending value by itself."""

    code = "version-ends"
    exit_code = 3
    default_hint = (
        "nothing is lost, as the value was not sent to Vonage; let nothing below "
        "`vault.pending_prefix` end by itself"
    )


class BrokenDeletion(RotatorError):
    """Vonage has deleted the old secret, and still accepts it."""

    code = "broken-deletion"
    default_hint = (
        "whoever has the old secret can still use the account: ask Vonage's support why; rotator "
        "tries it again by itself until Vonage refuses it, and does not rotate the account before, "
        "unless `rotator forget NAME --abandon` ends the rotation"
    )


class Withdrawn(RotatorError):
    """nothing was sent, as the last look at the ledger and Vault took too long."""

    code = "withdrawn"
    definite = True
    default_hint = "nothing is lost; see why Vault or the ledger is slow"


class HoldChanged(Withdrawn):
    """nothing was sent, as an operator has held or released the account meanwhile."""

    code = "hold-changed"
    exit_code = 3
    default_hint = "see `rotator status` for who holds it and why"


class Busy(RotatorError):
    """another process is working on this account."""

    code = "busy"
    exit_code = 75
    default_hint = "try again in a minute; the other process's lease ends by itself if it died"


class LeaseLost(Busy):
    """the lease on this account went to another process."""

    code = "lease-lost"


class Stopping(Busy):
    """this process is stopping; open rotations continue later."""

    code = "stopping"


class TooManyFiles(RotatorError):
    """too many open files."""

    code = "too-many-files"
    default_hint = (
        "raise `LimitNOFILE=` of the unit and restart it, or `ulimit -n` for a command; or lower "
        "daemon.concurrency"
    )


class LedgerError(RotatorError):
    """the ledger cannot be read or written."""

    code = "ledger-unavailable"
    default_hint = "nothing more is done until the ledger is back; nothing is lost"


class LedgerFull(LedgerError):
    """the disk that holds the ledger is full."""

    code = "ledger-full"
    exit_code = 3


class LedgerConflict(LedgerError):
    """another transaction was in the ledger's way."""


class WitnessUnavailable(RotatorError):
    """a checkpoint of the ledger could not be published."""

    code = "witness-unavailable"


class WitnessConflict(RotatorError):
    """what was published of the ledger is not the beginning of what it is now."""

    code = "witness-conflict"
    exit_code = 3
    definite = True


class IssuerError(RotatorError):
    """Vonage did not do what was asked."""

    code = "vonage"

    def __init__(
        self, message: str | None = None, *, request_id: str | None = None, **given: str | None
    ) -> None:
        """Store Vonage's request id, which its support asks for."""
        super().__init__(message, **given)
        self.request_id = request_id


class IssuerRefusal(IssuerError):
    """Vonage refused, and certainly did nothing."""

    definite = True


class CredentialRefused(IssuerRefusal):
    """Vonage refused the credential."""

    code = "credential-refused"
    default_hint = "`rotator doctor` shows what each account authenticates with, and what to do"


class SecretRejected(IssuerRefusal):
    """Vonage rejected the new secret."""

    code = "secret-rejected"


class SlotsFull(IssuerRefusal):
    """the account already has the two secrets that Vonage allows."""

    code = "slots-full"


class LastSecret(IssuerRefusal):
    """Vonage does not delete an account's only secret."""

    code = "last-secret"
    default_hint = "make another one first: `rotator rotate-now NAME`"


class SecretNotFound(IssuerRefusal):
    """Vonage knows no secret of that id."""

    code = "secret-not-found"


class AccountNotFound(IssuerRefusal):
    """Vonage knows no such API key, or this credential may not see it."""

    code = "account-not-found"


class Forbidden(IssuerRefusal):
    """Vonage forbids this to the account."""

    code = "forbidden"


class RequestRefused(IssuerRefusal):
    """Vonage refused the request."""

    code = "request-refused"


class RateLimited(IssuerRefusal):
    """Vonage's rate limit is reached."""

    code = "rate-limited"

    def __init__(
        self, message: str | None = None, *, retry_after: float = 1.0, **given: str | None
    ) -> None:
        """`retry_after` is how long Vonage asks to wait, in seconds."""
        super().__init__(message, **given)
        self.retry_after = retry_after


class NotSent(IssuerRefusal):
    """no connection to Vonage could be made."""

    code = "vonage-unreachable"
    default_hint = "check the network, proxy settings and vonage.api_url"


class IssuerUnavailable(IssuerError):
    """Vonage did not answer in time or failed inside."""

    code = "vonage-unavailable"
    default_hint = (
        "nothing is lost; if it lasts, check the network, proxy settings and vonage.api_url"
    )


class UnexpectedAnswer(IssuerError):
    """Vonage's answer is not what its API promises."""

    code = "unexpected-answer"
    default_hint = "check vonage.api_url, vonage.rest_url and any proxy in between"


class StoreError(RotatorError):
    """Vault did not do what was asked."""

    code = "vault"
    definite = True


class StoreUnavailable(StoreError):
    """Vault cannot be reached or failed inside."""

    code = "vault-unavailable"
    definite = False
    default_hint = "check vault.address and that Vault runs; nothing is lost"


class StoreSealed(StoreUnavailable):
    """Vault is sealed."""

    code = "vault-sealed"
    default_hint = "unseal Vault; nothing is lost"


class StoreNotReady(StoreUnavailable):
    """Vault did not take the request yet, and it had no effect."""

    code = "vault-not-ready"
    definite = True


class StoreForbidden(StoreError):
    """Vault denied permission."""

    code = "vault-forbidden"
    default_hint = "check that the token is valid and its policy grants what README lists"


class TokenRefused(StoreForbidden):
    """Vault does not accept the token."""

    code = "vault-token"
    default_hint = "it is expired, revoked, mistyped or of another namespace: issue a new one"


class LoginFailed(StoreForbidden):
    """rotator cannot log in to Vault."""

    code = "vault-login"


class WrappingSpent(LoginFailed):
    """the wrapping token was used before, or has expired."""

    code = "vault-wrapping-spent"
    exit_code = 3


class MountUnusable(StoreError):
    """the Vault mount cannot be used."""

    code = "vault-mount"
    exit_code = 2


class CheckAndSetLost(StoreError):
    """someone else wrote to the Vault entry in between."""

    code = "vault-conflict"


class VersionMissing(StoreError):
    """that version of the Vault entry is not there."""

    code = "vault-version-missing"


class UnexpectedEntry(StoreError):
    """the Vault entry is not what rotator can work with."""

    code = "vault-entry"
    exit_code = 3
