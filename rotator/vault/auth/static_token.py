"""Tokens that someone else issued: from the environment, or from a file kept fresh by another."""

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

import structlog

from rotator.errors import LoginFailed, StoreError, StoreUnavailable, TokenRefused
from rotator.model import SecretValue
from rotator.vault.auth.credential_file import checked
from rotator.vault.auth.token import Lease, is_refused, look_up, not_settled, renew, renewed
from rotator.vault.client import Line
from rotator.vault.errors import is_token_unknown
from rotator.vault.transport import Answer

_log = structlog.get_logger(__name__)

#: How often Vault is asked for a token that it denied, each time maybe another of its nodes.
_LOOKS = 4


class HeldToken(ABC):
    """A token that rotator can renew, and cannot get anew."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """Know nothing of the token yet; `clock` gives seconds since the epoch."""
        self._clock = clock
        self._keeping = threading.Lock()
        self._lease: Lease | None = None

    @property
    def lease(self) -> Lease | None:
        """The token and its life, as far as they are known. Asks nobody."""
        return self._lease

    @property
    def index(self) -> str:
        """An empty text: only whoever issued the token knows it."""
        return ""

    def token(self, line: Line) -> str:  # noqa: ARG002  # of the protocol
        """Give the token as it is now."""
        return self._current()

    def after_denial(self, denied: str, answer: Answer, line: Line) -> str | None:
        """Return the token that replaced `denied`, or `denied` again; None if its policy denies.

        It may have been issued just now: it is refused where no node that is asked knows it, and
        tried again where one does.

        Raises:
            TokenRefused: there is no other, and Vault does not accept this one.
            LoginFailed: there should be one, and there is none.
        """
        other = self._anew()
        if other != denied:
            return other
        if not denied or not is_token_unknown(answer):
            return None
        for _ in range(_LOOKS):
            if not is_refused(denied, line):
                if line.settle():
                    return denied
                raise not_settled()
            if not line.settle():
                break
        raise TokenRefused

    def keep(self, line: Line) -> bool:
        """Renew the token if it is time and it lets itself be renewed; never log in.

        Raises:
            TokenRefused: Vault does not accept it.
            StoreError: there is none, or it could not be renewed.
        """
        with self._keeping:
            token = self._current()
            if not token or not self._wants_care(token):
                return False
            lease = self._lease
            if lease is None or lease.token != token or lease.is_over(self._clock()):
                lease = self._look_up(token, line)
            self._lease = self._renewed(lease, line) if self._should_renew(lease) else lease
            return True

    def give_back(self, line: Line) -> None:  # noqa: B027  # of the protocol
        """Leave it alone: others may use it as well."""

    @abstractmethod
    def _current(self) -> str:
        """Give the token; "" for none."""

    @abstractmethod
    def _anew(self) -> str:
        """Give the token, looked for once more."""

    def _wants_care(self, token: str) -> bool:
        lease, now = self._lease, self._clock()
        if lease is None or lease.token != token or lease.is_over(now):
            return True
        return self._should_renew(lease)

    def _should_renew(self, lease: Lease) -> bool:
        return lease.renewable and lease.is_due(self._clock())

    def _look_up(self, token: str, line: Line) -> Lease:
        now = self._clock()
        try:
            standing = look_up(token, line)
        except (TokenRefused, StoreUnavailable):
            raise
        except StoreError:
            # Its policy does not let it look. It may live for ever, for all that is known.
            return Lease(token=token, expires_at=None, span=0, renewable=False)
        return Lease(
            token=token,
            expires_at=now + standing.ttl if standing.expires_at else None,
            span=standing.creation_ttl,
            renewable=standing.renewable,
        )

    def _renewed(self, lease: Lease, line: Line) -> Lease:
        granted = renewed(lease, renew(lease, line, self._clock()))
        _log.debug("vault token renewed", seconds=round(granted.span))
        if not granted.renewable:
            _log.warning(
                "vault token ends", seconds=round(granted.span), hint="issue a new one before"
            )
        return granted


class GivenToken(HeldToken):
    """A token that was handed in and stays: from VAULT_TOKEN, or "" for none."""

    def __init__(self, token: str, clock: Callable[[], float] = time.time) -> None:
        """Check that `token` can be sent."""
        super().__init__(clock)
        self._token = checked(token, "VAULT_TOKEN", "Vault token") if token.strip() else ""
        self._guard = SecretValue(self._token)

    def _current(self) -> str:
        return self._token

    def _anew(self) -> str:
        return self._token


class TokenFile(HeldToken):
    """A token that someone else, such as Vault Agent, may keep fresh in a file."""

    def __init__(self, path: str, clock: Callable[[], float] = time.time) -> None:
        """Read nothing yet: the file may come into being later."""
        super().__init__(clock)
        self._path = Path(path)
        self._lock = threading.Lock()
        self._token = ""
        #: Has the token masked in whatever is logged or kept.
        self._guard = SecretValue("")
        #: What the file was when it was read.
        self._seen: tuple[int, int, int] | None = None

    def _current(self) -> str:
        """Give the token, reading it again if the file is another than last time."""
        with self._lock:
            try:
                if self._state() != self._seen:
                    self._read()
            except OSError as error:
                raise self._unreadable(error) from None
            return self._token

    def _anew(self) -> str:
        """Read the file again, whatever it looks like: a clock may hide its change."""
        with self._lock:
            self._seen = None
        return self._current()

    def _state(self) -> tuple[int, int, int]:
        found = self._path.stat()
        return found.st_mtime_ns, found.st_ino, found.st_size

    def _read(self) -> None:
        # Taken before the content, so that a change in between is seen next time.
        seen = self._state()
        content = self._path.read_bytes().decode("ascii", errors="replace")
        self._token = checked(content, "vault.auth.token_file", "Vault token")
        self._guard = SecretValue(self._token)
        self._seen = seen

    def _unreadable(self, error: OSError) -> LoginFailed:
        reason = (error.strerror or "no file").lower()
        return LoginFailed(
            f"the Vault token cannot be read from {self._path}: {reason}",
            hint="check vault.auth.token_file and who may read it",
        )
