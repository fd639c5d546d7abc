"""Tokens issued elsewhere: from the environment, or a file that another program keeps fresh."""

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable

import structlog

from rotator.errors import StoreError, StoreUnavailable, TokenRefused
from rotator.model import SecretValue
from rotator.vault.auth.methods import CredentialFile, checked
from rotator.vault.auth.token import TokenLifetime, is_refused, look_up, not_settled, renew, renewed
from rotator.vault.client import VaultClient
from rotator.vault.errors import is_token_unknown
from rotator.vault.response import VaultResponse

_log = structlog.get_logger(__name__)

#: How often a denied token is looked up, each time perhaps at another node.
_LOOK_UPS = 4


class SuppliedToken(ABC):
    """A token supplied from outside: renewable, not replaceable."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """Store the clock, in seconds since the epoch; nothing is known of the token yet."""
        self._clock = clock
        self._keeping = threading.Lock()
        self._lifetime: TokenLifetime | None = None

    @property
    def lifetime(self) -> TokenLifetime | None:
        """The token and its lifetime, as far as known. Sends no request."""
        return self._lifetime

    @property
    def index(self) -> str:
        """Always "": only the token's issuer knows it."""
        return ""

    def token(self, client: VaultClient) -> str:  # noqa: ARG002  # of the protocol
        """Return the token as it is now."""
        return self._current()

    def after_denial(self, denied: str, response: VaultResponse, client: VaultClient) -> str | None:
        """Return the token that replaced `denied`, or `denied` again; None if its policy denies.

        The token may be brand-new: it counts as refused if no node knows it, and is retried if one
        does.

        Raises:
            TokenRefused: there is no other, and Vault does not accept this one.
            LoginFailed: a token is expected, and there is none.
        """
        other = self._current()
        if other != denied:
            return other
        if not denied or not is_token_unknown(response):
            return None
        for _ in range(_LOOK_UPS):
            if not is_refused(denied, client):
                if client.settle():
                    return denied
                raise not_settled()
            if not client.settle():
                break
        raise TokenRefused

    def keep(self, client: VaultClient) -> bool:
        """Renew the token if it is due and renewable; never log in.

        Raises:
            TokenRefused: Vault does not accept it.
            StoreError: there is none, or it could not be renewed.
        """
        with self._keeping:
            token, lifetime = self._current(), self._lifetime
            if not token:
                return False
            if lifetime is None or lifetime.token != token or lifetime.is_over(self._clock()):
                lifetime = self._look_up(token, client)
            elif not self._should_renew(lifetime):
                return False
            if self._should_renew(lifetime):
                lifetime = self._renewed(lifetime, client)
            self._lifetime = lifetime
            return True

    def revoke(self, client: VaultClient) -> None:  # noqa: B027  # of the protocol
        """Do nothing: others may use the token as well."""

    @abstractmethod
    def _current(self) -> str:
        """Return the token; "" for none."""

    def _should_renew(self, lifetime: TokenLifetime) -> bool:
        return lifetime.renewable and lifetime.is_due(self._clock())

    def _look_up(self, token: str, client: VaultClient) -> TokenLifetime:
        now = self._clock()
        try:
            info = look_up(token, client)
        except (TokenRefused, StoreUnavailable):
            raise
        except StoreError:
            # Its policy forbids the lookup. As far as known, it may never expire.
            return TokenLifetime(token=token, expires_at=None, span=0, renewable=False)
        return TokenLifetime(
            token=token,
            expires_at=now + info.ttl if info.expires_at else None,
            # A periodic token gets its whole period with each renewal.
            span=info.period or info.creation_ttl,
            renewable=info.renewable,
        )

    def _renewed(self, lifetime: TokenLifetime, client: VaultClient) -> TokenLifetime:
        granted = renewed(lifetime, renew(lifetime, client, self._clock()))
        _log.debug("vault token renewed", seconds=round(granted.span))
        if not granted.renewable:
            _log.warning(
                "vault token ends", seconds=round(granted.span), hint="issue a new one before"
            )
        return granted


class EnvToken(SuppliedToken):
    """A token that was supplied and does not change: from VAULT_TOKEN, or "" for none."""

    def __init__(self, token: str, clock: Callable[[], float] = time.time) -> None:
        """Check that `token` can be sent."""
        super().__init__(clock)
        self._token = checked(token, "VAULT_TOKEN", "Vault token") if token.strip() else ""
        self._guard = SecretValue(self._token)

    def _current(self) -> str:
        return self._token


class FileToken(SuppliedToken):
    """A token in a file, which another program such as Vault Agent may keep fresh."""

    def __init__(self, path: str, clock: Callable[[], float] = time.time) -> None:
        """Store the path; the file may appear later."""
        super().__init__(clock)
        self._file = CredentialFile(path, "token_file", "Vault token")

    def _current(self) -> str:
        """Read the file: it costs as little as asking whether it has changed."""
        return self._file.read()
