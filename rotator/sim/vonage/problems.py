"""Vonage's error bodies: problem documents, and the older form of rest.nexmo.com.

Types, titles and details are those of the Account and Subaccounts API documents, of the SDKs'
fixtures where the documents are silent, and of the portal's list of generic errors.
"""

import uuid
from http import HTTPStatus
from typing import Any

from rotator.sim.http import Reply

_PORTAL = "https://developer.nexmo.com/api-errors"
_SECRETS = f"{_PORTAL}/account/secret-management"
_PROBLEM_JSON = "application/problem+json"


def _problem(status: int, kind: str, title: str, detail: str | None, **more: Any) -> Reply:  # noqa: ANN401
    document: dict[str, Any] = {"type": kind, "title": title}
    if detail is not None:
        document["detail"] = detail
    return Reply.json(status, {**document, "instance": uuid.uuid4().hex, **more}, _PROBLEM_JSON)


def unauthorized(title: str = "Unauthorized") -> Reply:
    """The credentials are missing or wrong."""
    detail = "You did not provide correct credentials."
    return _problem(401, f"{_PORTAL}#unauthorized", title, detail)


def multiple_auth_methods() -> Reply:
    """The request carries both Basic auth and a key or secret in its query.

    The status is not documented; the text is the portal's.
    """
    detail = "Multiple authentication methods were detected in your request"
    kind = f"{_PORTAL}#multiple-auth-methods"
    return _problem(401, kind, "Multiple Authentication Methods", detail)


def invalid_json() -> Reply:
    """The body is not JSON. The text is the portal's, the status is not documented."""
    detail = "The request body did not contain valid JSON"
    return _problem(400, f"{_PORTAL}#invalid-json", "Bad Request", detail)


def validation() -> Reply:
    """The value of a new secret is refused."""
    return _problem(
        400,
        f"{_SECRETS}#validation",
        "Bad Request",
        "The request failed due to secret validation errors",
        invalid_parameters=[{"name": "secret", "reason": "Does not meet complexity requirements"}],
    )


def add_excess_secret(status: int) -> Reply:
    """Both slots are taken: 403 as the Python SDK's fixture has it.

    With 400 it is what the API document's remark suggests ("can also occur when a user has
    exceeded the allowed number of secrets"): only the detail tells it from a refused value.
    """
    detail = "Account reached maximum number [2] of allowed secrets"
    if status == HTTPStatus.BAD_REQUEST:
        return _problem(status, f"{_SECRETS}#validation", "Bad Request", detail)
    return _problem(status, f"{_SECRETS}#add-excess-secret", "Secret Addition Forbidden", detail)


def delete_last_secret() -> Reply:
    """The only secret stays."""
    detail = (
        "Can not delete the last secret. "
        "The account must always have at least 1 secret active at any time"
    )
    kind = f"{_SECRETS}#delete-last-secret"
    return _problem(403, kind, "Secret Deletion Forbidden", detail)


def invalid_api_key(api_key: str) -> Reply:
    """The key does not exist, or belongs to somebody else: Vonage does not tell which."""
    detail = f"API key '{api_key}' does not exist, or you do not have access"
    return _problem(404, f"{_PORTAL}#invalid-api-key", "Invalid API Key", detail)


def invalid_id(secret_id: str) -> Reply:
    """The account has no such secret."""
    detail = f"ID '{secret_id}' could not be found"
    return _problem(404, f"{_PORTAL}#invalid-id", "Invalid ID", detail)


def unprovisioned(api_key: str) -> Reply:
    """The account may not use the Subaccounts API."""
    detail = f"Account {api_key} is not provisioned to access Subaccount Provisioning API"
    kind = f"{_PORTAL}#unprovisioned"
    return _problem(403, kind, "Authorisation error", detail)


def rate_limited() -> Reply:
    """Too many requests."""
    detail = "Please wait, then retry your request"
    return _problem(429, f"{_PORTAL}#rate-limit", "Rate Limit Hit", detail)


def internal_error() -> Reply:
    """Something broke at Vonage."""
    detail = "An internal error occurred. Please try again shortly"
    return _problem(500, f"{_PORTAL}#internal-error", "Internal Error", detail)


def unexplained(status: int) -> Reply:
    """Any other status: the bare type and no detail, which Vonage's own 5xx show too."""
    return _problem(status, _PORTAL, phrase(status), None)


def legacy(status: int, label: str) -> Reply:
    """Make an error of rest.nexmo.com, whose body repeats the status as a text."""
    return Reply.json(status, {"error-code": str(status), "error-code-label": label})


def phrase(status: int) -> str:
    """Return HTTP's phrase for a status, or "Unknown"."""
    return HTTPStatus(status).phrase if status in set(HTTPStatus) else "Unknown"
