"""What went wrong, told to an operator: one error for each way an exchange can fail.

Messages are made of what rotator knows: the call, the address, the status. What Vault or a
proxy wrote is recognised but never quoted, as it may repeat a value that was sent.
"""

from collections.abc import Mapping
from http import HTTPStatus

from rotator.descriptors import are_spent
from rotator.errors import (
    CheckAndSetLost,
    LoginFailed,
    MountUnusable,
    StoreError,
    StoreForbidden,
    StoreSealed,
    StoreUnavailable,
    TooManyFiles,
    UnexpectedEntry,
)
from rotator.vault.transport import Answer, NoAnswer, Outcome

#: Said with a 400 while a mount starts: after mounting, unsealing or a change of the active
#: node. OpenBao up to 2.6 and Vault's KV plugin before 0.26 do.
_STARTING = "Upgrading from non-versioned to versioned data"

_PROXY_HINT = "check vault.address, and any proxy or load balancer in between"

_UNANSWERED: Mapping[NoAnswer, tuple[str, str | None]] = {
    NoAnswer.REFUSED: ("Vault refuses connections", None),
    NoAnswer.UNRESOLVED: ("the name of Vault's host cannot be resolved", "check vault.address"),
    NoAnswer.CONNECT_TIMEOUT: ("no connection to Vault in time", None),
    NoAnswer.CERTIFICATES: (
        "the certificates for the connection to Vault cannot be read",
        "check that vault.ca_file and vault.client_cert_file, where set, are readable PEM files",
    ),
    NoAnswer.TLS: (
        "the TLS connection to Vault failed",
        (
            "check that vault.ca_file has the authority of Vault's certificate, and its host's"
            " name; and that Vault takes vault.client_cert_file, where that is set"
        ),
    ),
    NoAnswer.PROXY: (
        "the proxy on the way to Vault failed",
        "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY in rotator's environment",
    ),
    NoAnswer.TIMEOUT: ("Vault did not answer in time", None),
    NoAnswer.DROPPED: ("the connection to Vault broke before the answer was there", None),
    NoAnswer.OVERSIZE: ("the answer is larger than any of Vault's", _PROXY_HINT),
}

_UNAVAILABLE: Mapping[int, tuple[str, str | None]] = {
    412: ("this Vault node lags behind the active one", None),
    429: ("Vault's rate limit is reached", "raise the quota that covers rotator's token"),
    472: ("this Vault node is a disaster recovery secondary", "point vault.address elsewhere"),
    473: ("this Vault node is a standby", "point vault.address at the active node"),
    474: ("this Vault standby cannot reach the active node", None),
    501: ("Vault is not initialised", "initialise and unseal it"),
    530: ("this Vault node was removed from its cluster", "point vault.address elsewhere"),
}


def judge(outcome: Outcome, call: str, *, with_token: bool) -> Answer | StoreError:
    """Give the answer of a success or of a "no such entry", else the error it means.

    `call` names what was done, for the message; `with_token` is whether a token was sent.
    """
    if isinstance(outcome, NoAnswer):
        message, hint = _UNANSWERED[outcome]
        if are_spent():
            message, hint = TooManyFiles().message, TooManyFiles.default_hint
        return StoreUnavailable(f"{message}: {call}", hint=hint)
    if outcome.status < HTTPStatus.MULTIPLE_CHOICES:
        return _judge_success(outcome, call)
    if outcome.status < HTTPStatus.BAD_REQUEST:
        return StoreUnavailable(
            f"Vault redirects, as a standby does, and no redirect is followed: {call}",
            hint="point vault.address at the active node or at a load balancer before it",
        )
    if outcome.status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return _judge_refusal(outcome, call, with_token=with_token)
    return _failure_of_server(outcome, call)


def is_starting(outcome: Outcome) -> bool:
    """Whether the mount is not ready yet. The request had no effect."""
    if not isinstance(outcome, Answer) or outcome.status != HTTPStatus.BAD_REQUEST:
        return False
    return outcome.says(_STARTING)


def _judge_success(answer: Answer, call: str) -> Answer | StoreError:
    if answer.status == HTTPStatus.NO_CONTENT:
        return answer
    if answer.status == HTTPStatus.OK and answer.body is not None:
        return answer
    return _not_from_vault(answer, call)


def _judge_refusal(answer: Answer, call: str, *, with_token: bool) -> Answer | StoreError:
    match answer.status:
        case HTTPStatus.BAD_REQUEST:
            return _failure_of_bad_request(answer, call)
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            return _denial(answer, call, with_token=with_token)
        case HTTPStatus.NOT_FOUND:
            return _judge_missing(answer, call)
        case HTTPStatus.METHOD_NOT_ALLOWED:
            return _no_kv(call)
        case HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return UnexpectedEntry(
                f"the entry is too large for Vault: {call}",
                hint="raise max_request_size of Vault's listener, or make the entry smaller",
            )
        case status if status in _UNAVAILABLE:
            return _unavailable(answer, call)
    return StoreError(f"Vault refused the request ({answer.code}): {call}", hint=_PROXY_HINT)


def _failure_of_bad_request(answer: Answer, call: str) -> StoreError:
    if answer.says("check-and-set parameter did not match"):
        return CheckAndSetLost(f"{CheckAndSetLost().message}: {call}")
    if is_starting(answer):
        return StoreUnavailable(
            f"the Vault mount is starting up: {call}", hint="try again in a minute"
        )
    if answer.says("missing client token"):
        return _denial(answer, call, with_token=False)
    return StoreError(f"Vault refused the request (400): {call}", hint="Vault's audit log says why")


def _denial(answer: Answer, call: str, *, with_token: bool) -> StoreForbidden:
    if not with_token:
        return LoginFailed(
            f"Vault wants a token and none is given: {call}",
            hint="set vault.auth.token_file, or VAULT_TOKEN in rotator's environment; or let"
            " vault.auth.method name a way to log in",
        )
    if answer.errors is None:
        return StoreForbidden(
            f"something before Vault denied permission ({answer.code}): {call}", hint=_PROXY_HINT
        )
    return StoreForbidden(f"{StoreForbidden().message}: {call}")


def _judge_missing(answer: Answer, call: str) -> Answer | StoreError:
    """Tell "no such entry" from "no such mount" or namespace, and both from a stranger's 404."""
    if answer.part("data", dict) is not None or answer.errors == ():
        return answer
    if answer.says("namespace not found"):
        return MountUnusable(f"no such Vault namespace: {call}", hint="check vault.namespace")
    if answer.errors or answer.part("warnings", list):
        return _no_kv(call)
    return _not_from_vault(answer, call)


def _no_kv(call: str) -> MountUnusable:
    return MountUnusable(
        f"there is no KV version 2 mount: {call}", hint="check vault.mount and vault.namespace"
    )


def _not_from_vault(answer: Answer, call: str) -> StoreUnavailable:
    return StoreUnavailable(
        f"the answer ({answer.code}) is not one of Vault's: {call}", hint=_PROXY_HINT
    )


def _failure_of_server(answer: Answer, call: str) -> StoreUnavailable:
    if answer.says("sealed"):
        return StoreSealed(f"{StoreSealed().message}: {call}")
    if answer.says("no active"):
        return StoreUnavailable(
            f"Vault has no active node: {call}",
            hint="wait until its cluster has elected one; nothing is lost",
        )
    return _unavailable(answer, call)


def _unavailable(answer: Answer, call: str) -> StoreUnavailable:
    message, hint = _UNAVAILABLE.get(answer.status, ("Vault failed inside", None))
    return StoreUnavailable(f"{message} ({answer.code}): {call}", hint=hint)
