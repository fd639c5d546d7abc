from typing import Any, cast

import pytest

from rotator.errors import CredentialRefused
from rotator.model import CurrentEntry, SecretValue
from rotator.rotation.credentials import with_own_credential
from rotator.rotation.ports import Store, StoredCurrent
from tests.support.samples import account

ACCOUNT = account("sms")


def stored(value: str) -> StoredCurrent:
    """Return a current entry with a value."""
    entry = CurrentEntry(version=1, note=None, intact=True, has_value=True)
    return StoredCurrent(entry=entry, value=SecretValue(value), fields={})


class Values:
    """A store whose current entry is another one at each read."""

    def __init__(self, *values: str | None) -> None:
        self._values = iter(values)

    def read_current(self, *_: Any) -> StoredCurrent | None:  # noqa: ANN401  # not looked at
        """Return the next entry."""
        value = next(self._values)
        return None if value is None else stored(value)


def accepted(store: Values, *, only: str) -> tuple[str, list[str]]:
    """Send a request that Vonage takes with one value; return that and all that it was shown."""
    shown: list[str] = []

    def send(credential: Any) -> str:  # noqa: ANN401
        shown.append(credential.secret.reveal())
        if shown[-1] != only:
            raise CredentialRefused
        return shown[-1]

    return with_own_credential(cast("Store", store), ACCOUNT, send), shown


def test_a_credential_that_works_is_read_once() -> None:
    """Nothing is sent twice where the first answer is one."""
    assert accepted(Values("Secret01"), only="Secret01") == ("Secret01", ["Secret01"])


@pytest.mark.parametrize("before", ["Secret01", None])
def test_a_credential_that_is_refused_or_missing_is_read_again(before: str | None) -> None:
    """The account may have been rotated between reading and sending."""
    found, shown = accepted(Values(before, "Secret02"), only="Secret02")

    assert found == "Secret02"
    assert shown == [*([before] if before else []), "Secret02"]


def test_a_credential_that_is_refused_twice_is_refused() -> None:
    """There is no third try."""
    with pytest.raises(CredentialRefused):
        accepted(Values("Secret01", "Secret02"), only="Secret03")


def test_without_a_credential_the_account_is_named() -> None:
    """With the way to put one there, and no request is sent."""
    with pytest.raises(CredentialRefused, match="no secret of sms") as caught:
        accepted(Values(None, None), only="")

    assert "rotator adopt sms" in (caught.value.hint or "")
