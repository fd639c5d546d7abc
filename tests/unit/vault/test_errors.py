import pytest

from rotator.errors import (
    CheckAndSetLost,
    LoginFailed,
    MountUnusable,
    StoreError,
    StoreForbidden,
    StoreNotReady,
    StoreSealed,
    StoreUnavailable,
    UnexpectedEntry,
)
from rotator.network import TransportFailure
from rotator.vault.errors import interpret, is_passing, is_starting
from rotator.vault.response import VaultResponse

UPGRADING = (
    "Upgrading from non-versioned to versioned data. This backend will be unavailable for a"
    " brief period and will resume service shortly."
)
WAITING = (
    "Waiting for the primary to upgrade from non-versioned to versioned data. This backend will be"
    " unavailable for a brief period and will resume service when the primary is finished."
)

#: Of a locked and of a sealed namespace, as OpenBao 2.7 has them.
LOCKED = (
    "API access to this namespace has been locked by an administrator -"
    ' "ns1/" must be unlocked to gain access.'
)
SEALED = 'no handler for route "sys/internal/ui/mounts/secret". route entry not found.'


def complaint(status: int, *errors: str) -> VaultResponse:
    """Return Vault's answer with `status` and these errors."""
    return VaultResponse(status=status, body={"errors": list(errors)})


def verdict(
    answer: VaultResponse | TransportFailure, *, with_token: bool = True
) -> VaultResponse | StoreError:
    """Judge `answer` as that of a read."""
    return interpret(answer, "reading secret/data/x", with_token=with_token)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            complaint(400, "check-and-set parameter did not match the current version"),
            CheckAndSetLost,
        ),
        (complaint(400, UPGRADING), StoreNotReady),
        (complaint(400, WAITING), StoreNotReady),
        (complaint(400, "missing client token"), LoginFailed),
        (complaint(400, "check-and-set parameter required for this call"), StoreError),
        (complaint(400, "custom_metadata validation failed"), StoreError),
        (complaint(401), StoreForbidden),
        (complaint(403, "1 error occurred:\n\t* permission denied\n\n"), StoreForbidden),
        (complaint(403, "permission denied", "invalid token"), StoreForbidden),
        (complaint(404, 'no handler for route "x". route entry not found.'), MountUnusable),
        (complaint(404, "namespace not found"), MountUnusable),
        (complaint(404, "1 error occurred:\n\t* unsupported path\n\n"), MountUnusable),
        (
            VaultResponse(
                status=404,
                body={
                    "data": None,
                    "warnings": ["Invalid path for a versioned K/V secrets engine"],
                },
            ),
            MountUnusable,
        ),
        (complaint(405, "unsupported operation"), MountUnusable),
        (VaultResponse(status=408, body=None), StoreUnavailable),
        (complaint(412, "required index state not present"), StoreNotReady),
        (complaint(413, "request body too large"), UnexpectedEntry),
        (complaint(418), StoreError),
        (complaint(429, "request path: rate limit quota exceeded"), StoreNotReady),
        (complaint(472), StoreUnavailable),
        (complaint(473), StoreUnavailable),
        (complaint(474), StoreUnavailable),
        (complaint(500, "internal error"), StoreUnavailable),
        (complaint(500, "no active Vault instance found"), StoreUnavailable),
        (
            complaint(500, "local node not active but active cluster node not found"),
            StoreNotReady,
        ),
        (complaint(501), StoreUnavailable),
        (complaint(502), StoreUnavailable),
        (complaint(503, "Vault is sealed"), StoreSealed),
        (complaint(503, "namespace is sealed"), StoreSealed),
        (complaint(503, LOCKED), StoreSealed),
        (complaint(404, SEALED), StoreSealed),
        (complaint(503, "no active Vault instance found"), StoreUnavailable),
        (complaint(504), StoreUnavailable),
        (complaint(530), StoreUnavailable),
        (VaultResponse(status=301, body=None), StoreUnavailable),
        (VaultResponse(status=307, body=None), StoreUnavailable),
        (VaultResponse(status=101, body=None), StoreUnavailable),
        (VaultResponse(status=202, body={}), StoreUnavailable),
        (VaultResponse(status=200, body=None), StoreUnavailable),
        (VaultResponse(status=404, body=None), StoreUnavailable),
        (VaultResponse(status=404, body={"message": "not here"}), StoreUnavailable),
        (VaultResponse(status=404, body={"errors": [1]}), StoreUnavailable),
    ],
)
def test_each_answer_is_one_error(answer: VaultResponse, expected: type[StoreError]) -> None:
    """Every way in which Vault says no is told apart by status and known words."""
    assert type(verdict(answer)) is expected


@pytest.mark.parametrize(
    ("answer", "is_proof"),
    [
        (complaint(400, "odd"), True),
        (complaint(403, "permission denied"), True),
        (complaint(405), True),
        (complaint(412), True),
        (complaint(429), True),
        (complaint(500, "local node not active but active cluster node not found"), True),
        (VaultResponse(status=413, body=None), True),
        (VaultResponse(status=429, body=None), True),
        (VaultResponse(status=400, body=None), False),
        (VaultResponse(status=401, body=None), False),
        (VaultResponse(status=403, body={"message": "blocked"}), False),
        (VaultResponse(status=404, body=None), False),
        (VaultResponse(status=405, body=None), False),
        (VaultResponse(status=407, body=None), False),
        (VaultResponse(status=408, body=None), False),
        (VaultResponse(status=307, body=None), False),
        (complaint(500, "no active Vault instance found"), False),
        (complaint(503, "Vault is sealed"), False),
    ],
)
def test_what_proves_that_nothing_was_done(answer: VaultResponse, *, is_proof: bool) -> None:
    """Vault's own words; a stranger's refusal may be of Vault's answer, as a filter's is.

    Nor does a node's that has handed the request on: a redirect, or that nobody is active, is all
    that it has to say when the active node died with it.
    """
    error = verdict(answer)

    assert isinstance(error, StoreError)
    assert error.definite is is_proof


@pytest.mark.parametrize("lost", TransportFailure)
def test_no_answer_is_unavailable(lost: TransportFailure) -> None:
    """The outcome is unknown, unless nothing was sent, and the call is named."""
    error = verdict(lost)

    assert type(error) is (StoreNotReady if lost.unsent else StoreUnavailable)
    assert error.hint
    assert "reading secret/data/x" in error.message


@pytest.mark.parametrize(
    "answer",
    [
        VaultResponse(status=200, body={"data": {}}),
        VaultResponse(status=204, body=None),
        complaint(404),
        VaultResponse(status=404, body={"data": {"data": None, "metadata": {"version": 2}}}),
    ],
)
def test_success_and_no_such_entry_are_no_errors(answer: VaultResponse) -> None:
    """A success and Vault's two ways to say that nothing is there are handed on."""
    assert verdict(answer) is answer


def test_only_the_starting_mount_is_starting() -> None:
    """The 400 of a mount that starts is told from any other, and from no answer."""
    assert is_starting(complaint(400, UPGRADING))
    assert is_starting(complaint(400, WAITING))
    assert not is_starting(complaint(400, "something else"))
    assert not is_starting(TransportFailure.TIMEOUT)


@pytest.mark.parametrize("lost", TransportFailure)
def test_who_went_away_is_waited_for(lost: TransportFailure) -> None:
    """However it went; what has to be mended by someone is not."""
    lasting = {"unresolved", "certificates", "encrypted-key", "tls", "proxy", "oversize"}

    assert is_passing(lost) is (lost.value not in lasting)


def test_a_sealed_vault_is_not_just_any_503() -> None:
    """A 503 whose body is not Vault's says nothing about a seal."""
    assert type(verdict(VaultResponse(status=503, body=None))) is StoreUnavailable


@pytest.mark.parametrize(
    ("answer", "what", "hint"),
    [
        (complaint(503, LOCKED), "namespace is locked", "`vault namespace unlock -unlock-key="),
        (complaint(404, SEALED), "namespace is sealed", "`bao namespace unseal "),
        (
            complaint(404, 'no handler for route "auth/token/lookup-self".'),
            "namespace is sealed",
            "`bao namespace unseal ",
        ),
    ],
)
def test_what_was_done_to_a_namespace_is_undone_by_the_hint(
    answer: VaultResponse, what: str, hint: str
) -> None:
    """A lock and a seal of one namespace are neither a missing mount nor a sealed Vault."""
    error = verdict(answer)

    assert isinstance(error, StoreSealed)
    assert what in error.message
    assert hint in (error.hint or "")


def test_a_missing_token_is_named_as_such() -> None:
    """A denial of a request without a token says that the token is missing."""
    error = verdict(complaint(403, "permission denied"), with_token=False)

    assert isinstance(error, StoreForbidden)
    assert "none is given" in error.message
    assert "VAULT_TOKEN" in (error.hint or "")


def test_a_proxys_denial_is_told_from_vaults() -> None:
    """A 403 that is not Vault's points at what stands in between."""
    error = verdict(VaultResponse(status=403, body=None))

    assert isinstance(error, StoreForbidden)
    assert "before Vault" in error.message


@pytest.mark.parametrize("status", [*range(400, 430), 472, 473, 474, *range(500, 505), 530])
def test_no_error_quotes_the_answer(status: int) -> None:
    """What the server wrote, which may echo a value, is in no message and no hint."""
    error = verdict(complaint(status, "Abcdefgh1 is not acceptable"))

    assert isinstance(error, StoreError)
    assert "Abcdefgh1" not in f"{error!r}{error}{error.hint}"


def test_an_answers_repr_hides_its_body() -> None:
    """An answer that ends up in a log or a traceback does not show what it carries."""
    assert "Abcdefgh1" not in repr(VaultResponse(status=200, body={"data": "Abcdefgh1"}))
