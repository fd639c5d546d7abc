"""Errors of Vault for the operator: one for each way an exchange can fail.

Messages are built from what rotator knows: the call, the address, the status. Text from Vault or a
proxy is recognised but never quoted, as it may repeat a value that was sent.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import TypeGuard

from rotator.descriptors import are_spent
from rotator.errors import (
    CheckAndSetLost,
    LoginFailed,
    MountUnusable,
    StoreError,
    StoreForbidden,
    StoreNotReady,
    StoreSealed,
    StoreUnavailable,
    TooManyFiles,
    UnexpectedEntry,
)
from rotator.network import TransportFailure
from rotator.vault.response import VaultOutcome, VaultResponse

#: Sent with a 400 while a mount starts: after mounting, unsealing or a change of the active node.
#: OpenBao up to 2.6 and Vault's KV plugin before 0.26 send it; the second text is a standby's.
_STARTING = (
    "Upgrading from non-versioned to versioned data",
    "Waiting for the primary to upgrade from non-versioned to versioned data",
)
#: Sent by a standby that found no active node to forward the request to.
_NOBODY_ACTIVE = "active cluster node not found"
#: Paths of every namespace. OpenBao has a sealed one answer as if there were nothing in it.
_ALWAYS_THERE = ("sys/internal/", "auth/token/")
_PASSING_STATUSES = frozenset({307, 408, 412, 429, 472, 473, 474, 500, 502, 503, 504})
#: Refused because of the request alone, whether by Vault or by a proxy.
_TOO_MUCH = frozenset({412, 413, 429})

_PROXY_HINT = "check vault.address, and any proxy or load balancer in between"

_UNANSWERED: Mapping[TransportFailure, tuple[str, str | None]] = {
    TransportFailure.REFUSED: ("Vault refuses connections", None),
    TransportFailure.UNRESOLVED: (
        "the name of Vault's host cannot be resolved",
        "check vault.address",
    ),
    TransportFailure.UNREACHABLE: (
        "Vault's host cannot be reached, or hangs up at once",
        "check vault.address, what listens there, and the network between here and there",
    ),
    TransportFailure.CONNECT_TIMEOUT: ("no connection to Vault in time", None),
    TransportFailure.CERTIFICATES: (
        "the certificates for the connection to Vault cannot be read",
        "check that vault.ca_file and vault.client_cert_file, where set, are readable PEM files",
    ),
    TransportFailure.ENCRYPTED_KEY: (
        "the key of rotator's certificate is encrypted, and nobody is there to type a passphrase",
        (
            "decrypt vault.client_key_file (or the key in vault.client_cert_file) into a file of"
            " mode 0600, with `openssl pkey -in KEY -out NEW_KEY`, and name that one"
        ),
    ),
    TransportFailure.TLS: (
        "the TLS connection to Vault failed",
        (
            "check that vault.ca_file, or the system's store where it is not set, has the"
            " authority of Vault's certificate, and that it names the host; and that Vault accepts"
            " vault.client_cert_file, where that is set"
        ),
    ),
    TransportFailure.PROXY: (
        "the proxy on the way to Vault failed",
        "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY in rotator's environment",
    ),
    TransportFailure.PROXY_AWAY: (
        "Vault cannot be reached through the proxy at the moment",
        "check the proxy that HTTPS_PROXY or HTTP_PROXY names, and whether it reaches Vault",
    ),
    TransportFailure.TIMEOUT: ("Vault did not answer in time", None),
    TransportFailure.DROPPED: (
        "the connection to Vault broke before the answer was complete",
        None,
    ),
    TransportFailure.OVERSIZE: ("the answer is larger than any of Vault's", _PROXY_HINT),
}

_UNAVAILABLE: Mapping[int, tuple[str, str | None]] = {
    # From a load balancer that closes an idle connection, it may cross a request on its way.
    408: ("a proxy or load balancer before Vault timed out", _PROXY_HINT),
    412: ("this Vault node lags behind the active one", None),
    429: ("Vault's rate limit is reached", "raise the quota that covers rotator's token"),
    472: ("this Vault node is a disaster recovery secondary", "point vault.address elsewhere"),
    473: ("this Vault node is a standby", "point vault.address at the active node"),
    474: ("this Vault standby cannot reach the active node", None),
    501: ("Vault is not initialised", "initialise and unseal it"),
    530: ("this Vault node was removed from its cluster", "point vault.address elsewhere"),
}


def interpret(
    outcome: VaultOutcome, request: str, *, with_token: bool
) -> VaultResponse | StoreError:
    """Return the answer of a success or of a "no such entry", else the error it means.

    `request` names the operation, for the message; `with_token` is whether a token was sent.
    """
    if isinstance(outcome, TransportFailure):
        message, hint = _UNANSWERED[outcome]
        if are_spent():
            message, hint = TooManyFiles().message, TooManyFiles.default_hint
        kind = StoreNotReady if outcome.unsent else StoreUnavailable
        return kind(f"{message}: {request}", hint=hint)
    if outcome.status < HTTPStatus.MULTIPLE_CHOICES:
        return _interpret_success(outcome, request)
    if outcome.status < HTTPStatus.BAD_REQUEST:
        # No proof that a write was not done: a node whose request to the active one failed, which
        # may have done it and died, falls back on a redirect (OpenBao, http/handler.go).
        return StoreUnavailable(
            f"Vault redirects, as a standby does, and no redirect is followed: {request}",
            hint="where this is not an election that takes its time, point vault.address at the"
            " active node or at a load balancer before it",
        )
    if outcome.status < HTTPStatus.INTERNAL_SERVER_ERROR:
        meaning = _interpret_refusal(outcome, request, with_token=with_token)
        if isinstance(meaning, StoreError) and not _is_proof(outcome):
            meaning.definite = False
        return meaning
    return _failure_of_server(outcome, request)


def _is_proof(refusal: VaultResponse) -> bool:
    """Return whether a refusal proves that nothing was done.

    Vault's own refusal does. A proxy before Vault may have refused its answer rather than the
    request, except where the request was too much for the proxy.
    """
    return refusal.errors is not None or refusal.status in _TOO_MUCH


def is_starting(outcome: VaultOutcome) -> bool:
    """Return whether the mount is not ready yet. The request had no effect."""
    return any(_is_bad_request(outcome, words) for words in _STARTING)


def is_index_refused(outcome: VaultOutcome) -> bool:
    """Return whether the server cannot parse the index that was sent with a request."""
    return _is_bad_request(outcome, "X-Vault-Index")


def _is_bad_request(outcome: VaultOutcome, text: str) -> bool:
    if not isinstance(outcome, VaultResponse) or outcome.status != HTTPStatus.BAD_REQUEST:
        return False
    return outcome.says(text)


def is_denied(outcome: VaultOutcome) -> TypeGuard[VaultResponse]:
    """Return whether Vault itself denied the request, not a proxy before it."""
    if not isinstance(outcome, VaultResponse) or outcome.status != HTTPStatus.FORBIDDEN:
        return False
    return outcome.errors is not None


def is_token_unknown(response: VaultResponse) -> bool:
    """Return whether the node does not know the token; otherwise the policy denied.

    OpenBao and Vault word the two differently (vault/request_handling.go): a policy's denial is a
    list of one error, an unknown token's is not.
    """
    if not is_denied(response):
        return False
    is_policys = response.says("1 error occurred") or response.says("preflight capability check")
    return not is_policys or response.says("invalid token")


def is_passing(outcome: VaultOutcome) -> bool:
    """Return whether the failure will probably pass on its own."""
    if isinstance(outcome, TransportFailure):
        return outcome.passes
    return outcome.status in _PASSING_STATUSES or is_starting(outcome)


def _interpret_success(response: VaultResponse, request: str) -> VaultResponse | StoreError:
    if response.status == HTTPStatus.NO_CONTENT:
        return response
    if response.status == HTTPStatus.OK and response.body is not None:
        return response
    return _not_from_vault(response, request)


def _interpret_refusal(
    response: VaultResponse, request: str, *, with_token: bool
) -> VaultResponse | StoreError:
    match response.status:
        case HTTPStatus.BAD_REQUEST:
            return _failure_of_bad_request(response, request)
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            return _denial(response, request, with_token=with_token)
        case HTTPStatus.NOT_FOUND:
            return _interpret_missing(response, request)
        case HTTPStatus.METHOD_NOT_ALLOWED:
            return _no_kv(request)
        case HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return UnexpectedEntry(
                f"the entry is too large for Vault: {request}",
                hint="raise max_request_size of Vault's listener, or make the entry smaller",
            )
        case status if status in _UNAVAILABLE:
            return _unavailable(response, request)
    return StoreError(f"Vault refused the request ({response.code}): {request}", hint=_PROXY_HINT)


def _failure_of_bad_request(response: VaultResponse, request: str) -> StoreError:
    if response.says("check-and-set parameter did not match"):
        return CheckAndSetLost(f"{CheckAndSetLost().message}: {request}")
    if is_starting(response):
        return StoreNotReady(
            f"the Vault mount is starting up: {request}",
            hint="it is over in a minute; nothing is lost",
        )
    if response.says("missing client token"):
        return _denial(response, request, with_token=False)
    return StoreError(
        f"Vault refused the request (400): {request}", hint="Vault's audit log says why"
    )


def _denial(response: VaultResponse, request: str, *, with_token: bool) -> StoreForbidden:
    if not with_token:
        return LoginFailed(
            f"Vault wants a token and none is given: {request}",
            hint="set vault.auth.token_file, or VAULT_TOKEN in rotator's environment; or let"
            " vault.auth.method name a way to log in",
        )
    if response.errors is None:
        return StoreForbidden(
            f"something before Vault denied permission ({response.code}): {request}",
            hint=_PROXY_HINT,
        )
    return StoreForbidden(f"{StoreForbidden().message}: {request}")


def _interpret_missing(response: VaultResponse, request: str) -> VaultResponse | StoreError:
    """Distinguish "no such entry" from "no such mount" or namespace, and from a foreign 404."""
    if isinstance(response.part("data"), dict) or response.errors == ():
        return response
    if response.says("namespace not found"):
        return no_namespace(request)
    if any(response.says(f'no handler for route "{path}') for path in _ALWAYS_THERE):
        return StoreSealed(
            f"the Vault namespace is sealed: {request}",
            hint="unseal it with `bao namespace unseal NAMESPACE`; nothing is lost",
        )
    if response.errors or response.part("warnings"):
        return _no_kv(request)
    return _not_from_vault(response, request)


def no_namespace(request: str) -> MountUnusable:
    """Return the error for a namespace that Vault does not have."""
    return MountUnusable(f"no such Vault namespace: {request}", hint="check vault.namespace")


def _no_kv(request: str) -> MountUnusable:
    return MountUnusable(
        f"there is no KV version 2 mount: {request}",
        hint="check vault.mount and vault.namespace, which may be sealed",
    )


def _not_from_vault(response: VaultResponse, request: str) -> StoreUnavailable:
    return StoreUnavailable(
        f"the answer ({response.code}) is not one of Vault's: {request}", hint=_PROXY_HINT
    )


def _failure_of_server(response: VaultResponse, request: str) -> StoreUnavailable:
    if response.says("namespace has been locked"):
        return StoreSealed(
            f"the Vault namespace is locked: {request}",
            hint="whoever locked it, or one above it, has the key to unlock it with: `vault"
            " namespace unlock -unlock-key=KEY NAMESPACE`, or the same of `bao`; nothing is lost",
        )
    if response.says("sealed"):
        return StoreSealed(f"{StoreSealed().message}: {request}")
    # A node that knows of no active one, before it hands a request on, says that it is "not
    # found"; so nothing was done. "No active … instance found" it says after that, too, where the
    # active one died with the request, having done it or not (OpenBao, http/handler.go:
    # forwardRequest falls back on respondStandby for any error).
    if response.says(_NOBODY_ACTIVE) or response.says("no active"):
        kind = StoreNotReady if response.says(_NOBODY_ACTIVE) else StoreUnavailable
        return kind(
            f"Vault has no active node: {request}",
            hint="wait until its cluster has elected one; nothing is lost",
        )
    return _unavailable(response, request)


def _unavailable(response: VaultResponse, request: str) -> StoreUnavailable:
    message, hint = _UNAVAILABLE.get(response.status, ("Vault failed inside", None))
    # Over a quota, or behind the requested index: it was never begun.
    was_begun = response.status not in _TOO_MUCH
    kind = StoreUnavailable if was_begun else StoreNotReady
    return kind(f"{message} ({response.code}): {request}", hint=hint)
