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
    """Return the answer to missing or wrong credentials."""
    detail = "You did not provide correct credentials."
    return _problem(401, f"{_PORTAL}#unauthorized", title, detail)


def multiple_auth_methods() -> Reply:
    """Return the answer to Basic auth together with a key or secret in the query.

    The status is not documented; the text is the portal's.
    """
    kind, title = f"{_PORTAL}#multiple-auth-methods", "Multiple Authentication Methods"
    detail = "Multiple authentication methods were detected in your request"
    return _problem(401, kind, title, detail)


def invalid_json() -> Reply:
    """Return the answer to a body that is not JSON: the portal's text, an undocumented status."""
    detail = "The request body did not contain valid JSON"
    return _problem(400, f"{_PORTAL}#invalid-json", "Bad Request", detail)


def validation() -> Reply:
    """Return the refusal of a new secret's value."""
    detail = "The request failed due to secret validation errors"
    invalid = [{"name": "secret", "reason": "Does not meet complexity requirements"}]
    kind = f"{_SECRETS}#validation"
    return _problem(400, kind, "Bad Request", detail, invalid_parameters=invalid)


def add_excess_secret(status: int) -> Reply:
    """Return the answer where both slots are taken: 403, as in the Python SDK's fixture.

    400 is what the API document's remark suggests ("can also occur when a user has exceeded the
    allowed number of secrets"); then only the detail distinguishes it from a refused value.
    """
    detail = "Account reached maximum number [2] of allowed secrets"
    if status == HTTPStatus.BAD_REQUEST:
        return _problem(status, f"{_SECRETS}#validation", "Bad Request", detail)
    return _problem(status, f"{_SECRETS}#add-excess-secret", "Secret Addition Forbidden", detail)


def delete_last_secret() -> Reply:
    """Return the refusal to delete the only secret."""
    detail = (
        "Can not delete the last secret. "
        "The account must always have at least 1 secret active at any time"
    )
    kind = f"{_SECRETS}#delete-last-secret"
    return _problem(403, kind, "Secret Deletion Forbidden", detail)


def invalid_api_key(api_key: str) -> Reply:
    """Return the answer to a key that does not exist or is another's: the same for both."""
    detail = f"API key '{api_key}' does not exist, or you do not have access"
    return _problem(404, f"{_PORTAL}#invalid-api-key", "Invalid API Key", detail)


def invalid_id(secret_id: str) -> Reply:
    """Return the answer to the id of a secret that the account does not have."""
    detail = f"ID '{secret_id}' could not be found"
    return _problem(404, f"{_PORTAL}#invalid-id", "Invalid ID", detail)


def unprovisioned(api_key: str) -> Reply:
    """Return the answer to an account that may not use the Subaccounts API."""
    detail = f"Account {api_key} is not provisioned to access Subaccount Provisioning API"
    return _problem(403, f"{_PORTAL}#unprovisioned", "Authorisation error", detail)


def rate_limited() -> Reply:
    """Return the answer to too many requests."""
    detail = "Please wait, then retry your request"
    return _problem(429, f"{_PORTAL}#rate-limit", "Rate Limit Hit", detail)


def internal_error() -> Reply:
    """Return the answer of a server that failed."""
    detail = "An internal error occurred. Please try again shortly"
    return _problem(500, f"{_PORTAL}#internal-error", "Internal Error", detail)


def unexplained(status: int) -> Reply:
    """Return any other status with the bare type and no detail, as Vonage's own 5xx do."""
    return _problem(status, _PORTAL, phrase(status), None)


def legacy(status: int, label: str) -> Reply:
    """Return an error of rest.nexmo.com, whose body repeats the status as text."""
    return Reply.json(status, {"error-code": str(status), "error-code-label": label})


def phrase(status: int) -> str:
    """Return HTTP's phrase for a status, or "Unknown"."""
    return HTTPStatus(status).phrase if status in set(HTTPStatus) else "Unknown"
