"""Secrets: listed, created and deleted, in two slots."""

from datetime import timedelta

import pytest

from rotator.sim import SlotsFull, VonageSimulator
from tests.unit.sim.vonage import KEY, OLD, SECOND, SECRET, SECRETS, THIRD, call, create, filled


def test_list_shows_ids_and_whole_seconds_but_no_value(vonage: VonageSimulator) -> None:
    """A list names each secret by id and creation time and never its value."""
    (only,) = vonage.secrets(KEY)

    answer = call(vonage, "GET", SECRETS)

    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.document == {
        "_links": {"self": {"href": SECRETS}},
        "_embedded": {
            "secrets": [
                {
                    "_links": {"self": {"href": f"{SECRETS}/{only.id}"}},
                    "id": only.id,
                    "created_at": "2024-03-01T10:07:23Z",
                }
            ]
        },
    }


def test_create_answers_the_new_id_and_lists_the_newest_first(vonage: VonageSimulator) -> None:
    """A created secret is listed at once, before the older one."""
    answer = create(vonage, SECOND)

    listed = call(vonage, "GET", SECRETS).document["_embedded"]["secrets"]
    assert answer.status == 201
    assert set(answer.document) == {"_links", "id", "created_at"}
    assert listed[0]["id"] == answer.document["id"]
    assert [secret.value for secret in vonage.secrets(KEY)] == [SECOND, SECRET]


def test_an_older_secret_made_later_is_listed_last(vonage: VonageSimulator) -> None:
    """The order of the list is that of creation times."""
    older = vonage.add_secret(KEY, SECOND, created_at=OLD - timedelta(days=1))

    assert vonage.secrets(KEY)[1].id == older


def test_get_one_secret(vonage: VonageSimulator) -> None:
    """A secret can be looked up by its id."""
    (only,) = vonage.secrets(KEY)

    answer = call(vonage, "GET", f"{SECRETS}/{only.id}")

    assert (answer.status, answer.document["id"]) == (200, only.id)


def test_delete_revokes_at_once(vonage: VonageSimulator) -> None:
    """A deleted secret is unlisted, no longer authenticates and stays in the history."""
    old, _ = vonage.secrets(KEY)[0], create(vonage, SECOND)

    answer = call(vonage, "DELETE", f"{SECRETS}/{old.id}", auth=(KEY, SECOND))

    assert (answer.status, answer.body) == (204, b"")
    assert "Content-Length" not in answer.headers
    assert call(vonage, "GET", SECRETS).status == 401
    assert [secret.value for secret in vonage.history(KEY)] == [SECRET, SECOND]
    assert vonage.history(KEY)[0].revoked_at is not None


def test_the_last_secret_cannot_be_deleted(vonage: VonageSimulator) -> None:
    """The only secret is answered 403 and stays."""
    (only,) = vonage.secrets(KEY)

    answer = call(vonage, "DELETE", f"{SECRETS}/{only.id}")

    assert answer.problem == (403, "delete-last-secret", "Secret Deletion Forbidden")
    assert len(vonage.secrets(KEY)) == 1


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_unknown_id_is_404(vonage: VonageSimulator, method: str) -> None:
    """An id that is not listed is named in a 404."""
    answer = call(vonage, method, f"{SECRETS}/no-such-id")

    assert answer.problem == (404, "invalid-id", "Invalid ID")
    assert answer.document["detail"] == "ID 'no-such-id' could not be found"


@pytest.mark.parametrize(
    "value",
    ["Short1a", "Long" + "1" * 22, "NODIGITSbutlower", "nouppercase1", "NOLOWERCASE1", SECRET],
    ids=["short", "long", "no digit", "no upper", "no lower", "active"],
)
def test_a_refused_value_is_a_validation_problem(vonage: VonageSimulator, value: str) -> None:
    """A value that breaks the rules, or that the account has, is one and the same 400."""
    answer = create(vonage, value)

    assert answer.problem == (400, "validation", "Bad Request")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.document["invalid_parameters"] == [
        {"name": "secret", "reason": "Does not meet complexity requirements"}
    ]
    assert len(vonage.history(KEY)) == 1


@pytest.mark.parametrize("body", [{}, {"secret": 12345678}, ["secret"]])
def test_a_body_without_a_secret_is_a_validation_problem(
    vonage: VonageSimulator, body: object
) -> None:
    """A body of another shape is refused like a bad value."""
    assert call(vonage, "POST", SECRETS, body).problem[:2] == (400, "validation")


def test_a_body_that_is_no_json_is_refused(vonage: VonageSimulator) -> None:
    """What is not JSON has a problem of its own."""
    assert call(vonage, "POST", SECRETS, "{").problem[:2] == (400, "invalid-json")


def test_a_revoked_value_may_be_used_again(vonage: VonageSimulator) -> None:
    """Only active values are refused as too simple."""
    second = vonage.add_secret(KEY, SECOND)
    vonage.revoke(KEY, second)

    assert create(vonage, SECOND).status == 201


def test_a_third_secret_is_forbidden(vonage: VonageSimulator) -> None:
    """With both slots taken a good value is answered 403."""
    vonage.add_secret(KEY, SECOND)

    answer = create(vonage, THIRD)

    assert answer.problem == (403, "add-excess-secret", "Secret Addition Forbidden")
    assert answer.document["detail"] == "Account reached maximum number [2] of allowed secrets"


def test_validation_precedes_the_limit(vonage: VonageSimulator) -> None:
    """With both slots taken, re-posting an active value is still a validation problem."""
    vonage.add_secret(KEY, SECOND)

    assert create(vonage, SECOND).problem[:2] == (400, "validation")


def test_a_full_account_may_answer_400() -> None:
    """With full_status=400 only the detail tells the full account from a bad value."""
    with VonageSimulator(full_status=400) as simulator:
        filled(simulator).add_secret(KEY, SECOND)

        answer = create(simulator, THIRD)

    assert answer.problem == (400, "validation", "Bad Request")
    assert "maximum number [2]" in answer.document["detail"]


def test_an_outsider_meets_the_two_slots(vonage: VonageSimulator) -> None:
    """The dashboard cannot make a third secret either."""
    vonage.add_secret(KEY, SECOND)

    with pytest.raises(SlotsFull):
        vonage.add_secret(KEY, THIRD)


def test_revoking_what_is_not_there_fails(vonage: VonageSimulator) -> None:
    """An outsider can only revoke a live secret."""
    second = vonage.add_secret(KEY, SECOND)
    vonage.revoke(KEY, second)

    with pytest.raises(KeyError):
        vonage.revoke(KEY, second)
