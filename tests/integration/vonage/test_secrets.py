from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from rotator.errors import (
    AccountNotFound,
    CredentialRefused,
    IssuerError,
    IssuerUnavailable,
    LastSecret,
    RateLimited,
    SecretNotFound,
    SecretRejected,
    SlotsFull,
    UnexpectedAnswer,
)
from rotator.model import Credential, SecretValue
from rotator.sim import Fault, VonageSimulator
from rotator.vonage import Secrets, VonageClient

if TYPE_CHECKING:
    from rotator.rotation.ports import Issuer

KEY, SECRET, VALUE = "abcd1234", "FirstSecret0001", "SecondSecret0002"
CREDENTIAL = Credential(api_key=KEY, secret=SecretValue(SECRET))
OLD = datetime(2024, 3, 1, 10, 7, 23, tzinfo=UTC)


@pytest.fixture
def vonage() -> Iterator[VonageSimulator]:
    """Yield a simulated Vonage with one account."""
    with VonageSimulator() as vonage:
        vonage.add_account(KEY, SECRET, created_at=OLD)
        yield vonage


@pytest.fixture
def secrets(vonage: VonageSimulator) -> Secrets:
    """Return a client of it that does not wait between tries."""
    transport = VonageClient(
        api_url=vonage.url,
        rest_url=vonage.url,
        timeout=60,
        max_requests_per_second=1e6,
        sleep=lambda _: None,
    )
    return Secrets(transport)


def methods(vonage: VonageSimulator) -> list[str]:
    """Return the methods of the requests that the simulator received."""
    return [exchange.method for exchange in vonage.exchanges]


@pytest.mark.parametrize("seconds", [0, 59, 7200, -7200])
def test_an_answer_tells_how_far_the_clock_is_ahead(seconds: int) -> None:
    """By its Date header; less than a minute is nothing."""
    began = datetime(2026, 11, 23, 7, 28, tzinfo=UTC).timestamp()
    with VonageSimulator(clock=lambda: int(began) * 10**9) as dated:
        transport = VonageClient(
            api_url=dated.url,
            rest_url=dated.url,
            timeout=60,
            max_requests_per_second=1e6,
            clock=lambda: 0.0,
            wall_clock=lambda: began + seconds,
        )
        dated.add_account(KEY, SECRET, created_at=OLD)
        secrets: Issuer = Secrets(transport)
        before = secrets.clock_offset
        secrets.list_secrets(CREDENTIAL, KEY)

        assert before == timedelta()
        assert secrets.clock_offset == timedelta(seconds=seconds if abs(seconds) > 60 else 0)


def test_what_an_answer_told_counts_until_another_tells() -> None:
    """The clock may be set after it, and some answer may have no Date: a proxy's, for one."""
    began = datetime(2026, 11, 23, 7, 28, tzinfo=UTC).timestamp()
    elapsed, shift = 0.0, 0.0
    with VonageSimulator(clock=lambda: int(began + elapsed) * 10**9) as dated:
        transport = VonageClient(
            api_url=dated.url,
            rest_url=dated.url,
            timeout=5,
            max_requests_per_second=1e6,
            clock=lambda: elapsed,
            wall_clock=lambda: began + elapsed + shift,
        )
        dated.add_account(KEY, SECRET, created_at=OLD)
        secrets: Issuer = Secrets(transport)
        secrets.list_secrets(CREDENTIAL, KEY)
        elapsed, shift = 300.0, -7200.0
        put_back = secrets.clock_offset
        dated.faults.add(Fault("status", status=401, headers={"Date": ""}))
        with pytest.raises(CredentialRefused):
            secrets.list_secrets(CREDENTIAL, KEY)

        assert put_back == timedelta(hours=-2)
        assert secrets.clock_offset == timedelta(hours=-2)
        assert transport.last_date == "Mon, 23 Nov 2026 07:28:00 GMT"


def test_one_odd_date_neither_lengthens_a_grace_nor_is_waited_for_long() -> None:
    """A clock is behind only where two answers say so; one that says it is ahead is asked again."""
    began = datetime(2026, 11, 23, 7, 28, tzinfo=UTC).timestamp()
    dates = (
        *("Thu, 01 Jan 2099 00:00:00 GMT", None, "Thu, 01 Jan 2099 00:00:00 GMT", None),
        *("Thu, 01 Jan 1970 00:00:00 GMT", None, None),
    )
    found = []
    with VonageSimulator(clock=lambda: int(began) * 10**9) as dated:
        transport = VonageClient(
            api_url=dated.url,
            rest_url=dated.url,
            timeout=60,
            max_requests_per_second=1e6,
            clock=lambda: 0.0,
            wall_clock=lambda: began,
        )
        dated.add_account(KEY, SECRET, created_at=OLD)
        secrets: Issuer = Secrets(transport)
        for date in dates:
            headers = {"Date": date} if date else {}
            dated.faults.add(Fault("status", status=401, headers=headers))
            with pytest.raises(CredentialRefused):
                secrets.list_secrets(CREDENTIAL, KEY)
            found.append(secrets.clock_offset.days)

    # Only where nothing else is known, it counts at once: too far behind to begin anything.
    assert found == [-26337, 0, 0, 0, 20780, 20780, 0]


def test_the_life_of_a_secret(vonage: VonageSimulator, secrets: Secrets) -> None:
    """A secret is made, listed, read, used to authenticate, and the first one deleted with it."""
    issuer: Issuer = secrets
    (first,) = issuer.list_secrets(CREDENTIAL, KEY)
    created = issuer.create_secret(CREDENTIAL, KEY, SecretValue(VALUE), before_send=lambda: None)
    renewed = Credential(api_key=KEY, secret=SecretValue(VALUE))
    listed = issuer.list_secrets(renewed, KEY)
    read = secrets.get_secret(renewed, KEY, created.id)
    issuer.delete_secret(renewed, KEY, first.id, before_send=lambda: None)

    assert first.created_at == OLD
    assert set(listed) == {first, created}
    assert read == created
    assert [secret.id for secret in vonage.secrets(KEY)] == [created.id]


def test_a_parent_manages_its_childs_secrets(vonage: VonageSimulator, secrets: Secrets) -> None:
    """The path names the child, the credential the parent."""
    vonage.add_account("aaaa1111", "ChildSecret0001", parent=KEY)
    created = secrets.create_secret(CREDENTIAL, "aaaa1111", SecretValue(VALUE))

    assert created.id in {secret.id for secret in vonage.secrets("aaaa1111")}
    assert len(vonage.secrets(KEY)) == 1


def test_a_wrong_credential(secrets: Secrets) -> None:
    """A secret that is none is refused, which is certain."""
    wrong = Credential(api_key=KEY, secret=SecretValue("NotTheSecret1"))
    with pytest.raises(CredentialRefused) as caught:
        secrets.list_secrets(wrong, KEY)

    assert caught.value.definite is True


def test_an_account_out_of_sight(secrets: Secrets) -> None:
    """Another account is as good as none."""
    with pytest.raises(AccountNotFound):
        secrets.list_secrets(CREDENTIAL, "ffff0000")


@pytest.mark.parametrize("value", ["short", "alllowercase1", SECRET])
def test_a_value_that_vonage_rejects(secrets: Secrets, value: str) -> None:
    """A value that breaks the rules, or is a secret already, is rejected with Vonage's reason."""
    with pytest.raises(SecretRejected, match="complexity"):
        secrets.create_secret(CREDENTIAL, KEY, SecretValue(value))


@pytest.mark.parametrize("status", [403, 400])
def test_full_slots(status: int) -> None:
    """A third secret is refused as such, whichever status Vonage gives it."""
    with VonageSimulator(full_status=status) as vonage:
        transport = VonageClient(
            api_url=vonage.url, rest_url=vonage.url, timeout=60, max_requests_per_second=1e6
        )
        vonage.add_account(KEY, SECRET)
        vonage.add_secret(KEY, VALUE)
        with pytest.raises(SlotsFull):
            Secrets(transport).create_secret(CREDENTIAL, KEY, SecretValue("ThirdSecret00003"))

        assert methods(vonage) == ["POST"]


def test_the_last_secret(vonage: VonageSimulator, secrets: Secrets) -> None:
    """The only secret is not deleted."""
    (only,) = vonage.secrets(KEY)
    with pytest.raises(LastSecret):
        secrets.delete_secret(CREDENTIAL, KEY, only.id)

    assert len(vonage.secrets(KEY)) == 1


def test_a_secret_that_is_gone(vonage: VonageSimulator, secrets: Secrets) -> None:
    """Reading or deleting an unknown id says so."""
    vonage.add_secret(KEY, VALUE)
    gone = "ad6dc56f-07b5-46e1-a527-85530e625800"
    with pytest.raises(SecretNotFound):
        secrets.delete_secret(CREDENTIAL, KEY, gone)
    with pytest.raises(SecretNotFound):
        secrets.get_secret(CREDENTIAL, KEY, gone)

    assert len(vonage.secrets(KEY)) == 2


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault("drop-before"), IssuerUnavailable),
        (Fault("drop-after"), IssuerUnavailable),
        (Fault("status", status=500), IssuerUnavailable),
        (Fault("status-after", status=503), IssuerUnavailable),
        (Fault("truncate"), IssuerUnavailable),
        (Fault("garbage"), UnexpectedAnswer),
        (Fault("empty"), UnexpectedAnswer),
        (Fault("huge"), UnexpectedAnswer),
        (Fault("status", status=302), UnexpectedAnswer),
    ],
    ids=lambda parameter: parameter.kind if isinstance(parameter, Fault) else "",
)
def test_a_creation_that_went_wrong_is_unknown_and_sent_once(
    vonage: VonageSimulator, secrets: Secrets, fault: Fault, kind: type[IssuerError]
) -> None:
    """Whether or not it took effect, a creation is not repeated and its outcome is left open."""
    vonage.faults.add(fault)
    with pytest.raises(kind) as caught:
        secrets.create_secret(CREDENTIAL, KEY, SecretValue(VALUE))

    assert caught.value.definite is False
    assert methods(vonage) == ["POST"]
    assert len(vonage.secrets(KEY)) == (2 if fault.takes_effect else 1)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("drop-before"),
        Fault("status", status=500),
        Fault("status", status=429),
        Fault("truncate"),
        Fault("garbage"),
        Fault("empty"),
        Fault("huge"),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status}",
)
def test_a_read_survives_one_fault(vonage: VonageSimulator, secrets: Secrets, fault: Fault) -> None:
    """A read that went wrong once is repeated and whole."""
    vonage.faults.add(fault)
    listed = secrets.list_secrets(CREDENTIAL, KEY)

    assert [secret.created_at for secret in listed] == [OLD]
    assert methods(vonage) == ["GET", "GET"]


def test_a_deletion_whose_answer_is_lost(vonage: VonageSimulator, secrets: Secrets) -> None:
    """It is not repeated: whoever asked has to look before that."""
    (first,) = vonage.secrets(KEY)
    vonage.add_secret(KEY, VALUE)
    vonage.faults.add(Fault("drop-after"))
    renewed = Credential(api_key=KEY, secret=SecretValue(VALUE))
    with pytest.raises(IssuerUnavailable) as caught:
        secrets.delete_secret(renewed, KEY, first.id)

    assert caught.value.definite is False
    assert methods(vonage) == ["DELETE"]


def test_a_rate_limit_that_stays(vonage: VonageSimulator, secrets: Secrets) -> None:
    """After four tries the limit is the caller's."""
    vonage.faults.add(Fault("status", status=429, times=None, headers={"Retry-After": "3"}))
    with pytest.raises(RateLimited) as caught:
        secrets.list_secrets(CREDENTIAL, KEY)

    assert caught.value.retry_after == 3
    assert len(vonage.exchanges) == 4


def test_an_error_has_the_request_id(vonage: VonageSimulator, secrets: Secrets) -> None:
    """Every error of Vonage's carries what its support asks for."""
    vonage.faults.add(Fault("status", status=403, headers={"X-Request-Id": "b1946ac9"}))
    with pytest.raises(IssuerError) as caught:
        secrets.list_secrets(CREDENTIAL, KEY)

    assert caught.value.request_id
