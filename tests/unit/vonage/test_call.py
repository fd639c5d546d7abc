import base64
import pickle
from typing import Any

import pytest

from rotator.errors import ConfigError, CredentialRefused
from rotator.model import Credential, SecretValue
from rotator.vonage.request import Host, VonageRequest, path_segment

SECRET, VALUE = "Current+Secret/1", "New Secret&Value2"


def calling(secret: str = SECRET, *, api_key: str = "abcd1234", **changes: Any) -> VonageRequest:  # noqa: ANN401
    """Make a call that creates a secret, with `changes`."""
    fields: dict[str, Any] = {
        "operation": "secrets.create",
        "method": "POST",
        "host": Host.API,
        "path": "/accounts/abcd1234/secrets",
        "credential": Credential(api_key=api_key, secret=SecretValue(secret)),
        "api_key": api_key,
        "success": frozenset({201}),
        "body": VALUE.encode(),
        "value": SecretValue(VALUE),
    }
    return VonageRequest(**(fields | changes))


@pytest.mark.parametrize("bad", ["", ".", "..", "a/b", "a:b", "a b", "a\r\nX: y", "é", "x" * 200])
def test_segment_refuses_what_is_no_id(bad: str) -> None:
    """What cannot be an id is refused before anything is sent, and not repeated in the error."""
    with pytest.raises(ConfigError) as caught:
        path_segment(bad, "a secret id")

    assert "a secret id" in str(caught.value)
    assert len(bad) < 5 or bad not in str(caught.value)


def test_a_bad_api_key_of_the_credential_is_refused() -> None:
    """A colon in the user name would move the border to the password."""
    with pytest.raises(ConfigError):
        calling(api_key="abcd:1234")


def test_a_secret_that_utf8_cannot_spell_is_no_credential() -> None:
    """Half a surrogate pair from a JSON document is a refused credential, not a crash."""
    with pytest.raises(CredentialRefused) as caught:
        calling("Secret\ud8001")

    assert caught.value.__context__ is None


def test_basic_is_the_documented_header() -> None:
    """Key and secret, joined by a colon, in base64 (the example of the API document)."""
    header = calling("abc123456789", api_key="aaa012").basic()

    assert header == "Basic YWFhMDEyOmFiYzEyMzQ1Njc4OQ=="


def test_repr_shows_no_value() -> None:
    """A call can be logged by mistake without harm."""
    shown = repr(calling())

    assert SECRET not in shown
    assert VALUE not in shown


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        VALUE,
        base64.b64encode(f"abcd1234:{SECRET}".encode()).decode(),
        base64.b64encode(VALUE.encode()).decode(),
        "Current%2BSecret%2F1",
        "New+Secret%26Value2",
        "New%20Secret%26Value2",
    ],
)
def test_mask_covers_each_form_a_value_is_sent_in(form: str) -> None:
    """Plain, in Basic's base64 and percent-encoded, a value is masked, and only the value."""
    masked = calling().mask(f"before {form} after")

    assert masked.rstrip("=").startswith("before ***")
    assert masked.endswith(" after")
    assert form.rstrip("=") not in masked


def test_mask_copes_with_an_empty_secret() -> None:
    """An empty value masks nothing."""
    masked = calling("", value=SecretValue("")).mask("text")

    assert masked == "text"


def test_mask_copes_with_a_value_that_utf8_cannot_spell() -> None:
    """A new value is masked whatever it is made of."""
    masked = calling(value=SecretValue("half\ud800")).mask("the half\ud800 text")

    assert masked == "the *** text"


@pytest.mark.parametrize(("method", "reads"), [("GET", True), ("DELETE", False), ("POST", False)])
def test_what_may_be_repeated(method: str, *, reads: bool) -> None:
    """Only what changes nothing may be sent again without another look."""
    assert calling(method=method).reads is reads


def test_a_call_is_not_pickled() -> None:
    """A call holds values and does not leave the process."""
    with pytest.raises(TypeError):
        pickle.dumps(calling())
