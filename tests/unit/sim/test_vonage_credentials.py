"""Who is let in, to which account, and from when on."""

from contextlib import closing
from datetime import datetime

import pytest

from rotator.sim import VonageSimulator
from tests.support.clock import FakeClock
from tests.unit.sim.vonage import (
    KEY,
    OLD,
    OTHER,
    OTHER_SECRET,
    SECOND,
    SECRET,
    SECRETS,
    SUB,
    SUB_SECRET,
    call,
    connect,
    create,
    filled,
)


@pytest.mark.parametrize(
    "auth",
    [None, (KEY, "WrongSecret1"), ("nobody99", SECRET), (OTHER, SECRET)],
    ids=["none", "wrong secret", "unknown key", "another's secret"],
)
def test_wrong_credentials_are_401(vonage: VonageSimulator, auth: tuple[str, str] | None) -> None:
    """Whatever is wrong with the credentials, the answer is the same 401."""
    answer = call(vonage, "GET", SECRETS, auth=auth)

    assert answer.problem == (401, "unauthorized", "Unauthorized")
    assert answer.document["detail"] == "You did not provide correct credentials."


@pytest.mark.parametrize("header", ["Basic %%%", "Basic YWJj", "Bearer abc", "Basic"])
def test_unreadable_credentials_are_401(vonage: VonageSimulator, header: str) -> None:
    """Credentials that are no Basic auth count as none."""
    with closing(connect(vonage)) as connection:
        connection.request("GET", SECRETS, headers={"Authorization": header})

        assert connection.getresponse().status == 401


def test_the_secrets_calls_take_no_query_credentials(vonage: VonageSimulator) -> None:
    """Key and secret in the query are good for rest.nexmo.com only."""
    path = f"{SECRETS}?api_key={KEY}&api_secret={SECRET}"

    assert call(vonage, "GET", path, auth=None).problem[:2] == (401, "unauthorized")


def test_a_primary_account_manages_its_subaccounts_secrets(vonage: VonageSimulator) -> None:
    """The primary's credential works on a subaccount's path, for every call."""
    path = f"/accounts/{SUB}/secrets"

    created = call(vonage, "POST", path, {"secret": SECOND})
    listed = call(vonage, "GET", path)
    deleted = call(vonage, "DELETE", f"{path}/{created.document['id']}")

    assert [created.status, listed.status, deleted.status] == [201, 200, 204]
    assert len(listed.document["_embedded"]["secrets"]) == 2


@pytest.mark.parametrize(
    ("path_key", "auth"),
    [
        (OTHER, (KEY, SECRET)),
        ("nobody99", (KEY, SECRET)),
        (KEY, (SUB, SUB_SECRET)),
        (SUB, (OTHER, OTHER_SECRET)),
    ],
    ids=["stranger", "unknown", "own parent", "another's subaccount"],
)
def test_other_accounts_are_404(
    vonage: VonageSimulator, path_key: str, auth: tuple[str, str]
) -> None:
    """A key that is not the caller's is answered as if it did not exist."""
    answer = call(vonage, "GET", f"/accounts/{path_key}/secrets", auth=auth)

    assert answer.problem == (404, "invalid-api-key", "Invalid API Key")
    assert f"'{path_key}'" in answer.document["detail"]


def test_accounts_are_checked(vonage: VonageSimulator) -> None:
    """A key is used once, subaccounts have one level and times a zone."""
    with pytest.raises(ValueError, match="exists"):
        vonage.add_account(KEY, SECRET)
    with pytest.raises(ValueError, match="not a primary"):
        vonage.add_account("new00000", SECRET, parent=SUB)
    with pytest.raises(ValueError, match="time zone"):
        vonage.add_account("new00000", SECRET, created_at=datetime(2024, 1, 1))  # noqa: DTZ001


def test_propagation_delays_a_new_secret(clock: FakeClock) -> None:
    """A new secret is listed at once and authenticates only after the propagation time."""
    with VonageSimulator(propagation=30, clock=clock.nanoseconds) as simulator:
        filled(simulator)
        created = create(simulator, SECOND)
        early = call(simulator, "GET", SECRETS, auth=(KEY, SECOND)).status
        clock.advance(seconds=30)
        late = call(simulator, "GET", SECRETS, auth=(KEY, SECOND)).status

        assert (created.status, early, late) == (201, 401, 200)
        assert simulator.secrets(KEY)[0].active_from == clock.now()


def test_propagation_delays_a_revocation(clock: FakeClock) -> None:
    """A revoked secret is unlisted at once and authenticates for the propagation time."""
    with VonageSimulator(propagation=30, clock=clock.nanoseconds) as simulator:
        filled(simulator).add_secret(KEY, SECOND, created_at=OLD)
        simulator.revoke(KEY, simulator.history(KEY)[0].id)
        early = call(simulator, "GET", SECRETS)
        clock.advance(seconds=30)
        late = call(simulator, "GET", SECRETS)

        assert (early.status, late.status) == (200, 401)
        assert len(early.document["_embedded"]["secrets"]) == 1


def test_an_unknown_account_authenticates_nobody(vonage: VonageSimulator) -> None:
    """Asking for an account that is not there is no error."""
    assert not vonage.authenticates("nobody99", SECRET)


@pytest.mark.parametrize("path", ["/account/get-balance", SECRETS])
def test_two_ways_to_authenticate_are_one_too_many(vonage: VonageSimulator, path: str) -> None:
    """Basic auth and a key in the query do not go together."""
    answer = call(vonage, "GET", f"{path}?api_key={KEY}&api_secret={SECRET}")

    assert answer.problem[:2] == (401, "multiple-auth-methods")
