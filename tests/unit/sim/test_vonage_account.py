"""The calls beside the secrets: balance, top-up, settings and subaccounts."""

import pytest

from rotator.sim import VonageSimulator
from tests.unit.sim.vonage import KEY, OTHER, SECRET, SUB, SUB_SECRET, call, filled


@pytest.mark.parametrize("auth", ["basic", "query"])
def test_balance_takes_basic_or_query_credentials(vonage: VonageSimulator, auth: str) -> None:
    """The rest host takes either way to authenticate."""
    query = f"?api_key={KEY}&api_secret={SECRET}" if auth == "query" else ""

    answer = call(
        vonage, "GET", f"/account/get-balance{query}", auth=None if query else (KEY, SECRET)
    )

    assert (answer.status, answer.document) == (200, {"value": 10.28, "autoReload": False})


def test_the_rest_hosts_401_is_of_the_older_form(vonage: VonageSimulator) -> None:
    """Wrong credentials on rest.nexmo.com have its own error body."""
    answer = call(vonage, "GET", "/account/get-balance", auth=(KEY, "WrongSecret1"))

    assert answer.status == 401
    assert answer.document == {"error-code": "401", "error-code-label": "authentication failed"}


def test_a_top_up_needs_auto_reload(vonage: VonageSimulator) -> None:
    """Without auto-reload a top-up is refused, with it the balance grows by ten."""
    refused = call(vonage, "POST", "/account/top-up", "trx=1")
    vonage.auto_reload = True
    accepted = call(vonage, "POST", "/account/top-up", "trx=1")

    assert (refused.status, refused.document["error-code-label"]) == (
        401,
        "not auto-reload enabled",
    )
    assert accepted.document == {"error-code": "200", "error-code-label": "success"}
    assert vonage.balance(KEY) == 20.28
    assert call(vonage, "GET", "/account/get-balance").document["autoReload"] is True


def test_settings_are_saved_by_their_exact_names(vonage: VonageSimulator) -> None:
    """Known names are saved, a name in another case is ignored, an empty text unsets."""
    form = "moCallBackUrl=https%3A%2F%2Fa.example&drCallbackUrl=b&httpForwardMethod=POST_JSON"
    call(vonage, "POST", "/account/settings", form)
    saved = call(vonage, "POST", "/account/settings").document
    unset = call(vonage, "POST", "/account/settings", "moCallBackUrl=").document

    assert saved == {
        "mo-callback-url": "https://a.example",
        "dr-callback-url": "",
        "http-forward-method": "POST_JSON",
        "max-outbound-request": 30,
        "max-inbound-request": 30,
        "max-calls-per-second": 30,
    }
    assert unset["mo-callback-url"] == ""
    assert vonage.state()["accounts"][0]["settings"] == unset


@pytest.mark.parametrize("form", ["moCallBackUrl=http%3A%2F%2Fbad", "httpForwardMethod=SMOKE"])
def test_a_refused_setting_changes_nothing(form: str) -> None:
    """A callback that does not answer, or an unknown method, leaves all settings alone."""
    with VonageSimulator(callback_ok=lambda url: "bad" not in url) as simulator:
        filled(simulator)

        answer = call(
            simulator, "POST", "/account/settings", f"drCallBackUrl=http%3A%2F%2Fc&{form}"
        )

        assert answer.document["error-code"] == "420"
        assert simulator.state()["accounts"][0]["settings"]["dr-callback-url"] == ""


def test_subaccounts_are_listed(vonage: VonageSimulator) -> None:
    """A primary account sees its subaccounts, also suspended ones, with milliseconds."""
    answer = call(vonage, "GET", f"/accounts/{KEY}/subaccounts")

    (listed,) = answer.document["_embedded"]["subaccounts"]
    assert answer.document["_embedded"]["primary_account"]["name"] == "main"
    assert answer.document["total_balance"] == 20.56
    assert listed == {
        "api_key": SUB,
        "name": SUB,
        "balance": 10.28,
        "credit_limit": 0.0,
        "suspended": True,
        "created_at": "2024-03-01T10:07:23.456Z",
        "primary_account_api_key": KEY,
        "use_primary_account_balance": False,
    }
    assert call(vonage, "GET", f"/accounts/{KEY}/subaccounts/{SUB}").document == listed


@pytest.mark.parametrize(
    ("path", "auth", "expected"),
    [
        (f"/accounts/{KEY}/subaccounts/{OTHER}", (KEY, SECRET), (404, "invalid-api-key")),
        (f"/accounts/{OTHER}/subaccounts", (KEY, SECRET), (404, "invalid-api-key")),
        (f"/accounts/{SUB}/subaccounts", (SUB, SUB_SECRET), (403, "unprovisioned")),
        (f"/accounts/{KEY}/subaccounts", None, (401, "unauthorized")),
    ],
)
def test_subaccount_errors(
    vonage: VonageSimulator, path: str, auth: tuple[str, str] | None, expected: tuple[int, str]
) -> None:
    """Strangers are not found, a subaccount is not provisioned, nobody is not let in."""
    assert call(vonage, "GET", path, auth=auth).problem[:2] == expected
