from collections.abc import Iterator
from decimal import Decimal

import pytest

from rotator.errors import ConfigError, CredentialRefused, Forbidden, RequestRefused
from rotator.model import Credential, ForwardMethod, SecretValue
from rotator.sim import Fault, VonageSimulator
from rotator.vonage import Accounts, Balance, RestAuth, Subaccounts, VonageClient

KEY, SECRET = "abcd1234", "FirstSecret0001"
CREDENTIAL = Credential(api_key=KEY, secret=SecretValue(SECRET))
WRONG = Credential(api_key=KEY, secret=SecretValue("NotTheSecret1"))


@pytest.fixture
def vonage() -> Iterator[VonageSimulator]:
    """Yield a simulated Vonage with one account, to which bad.example does not answer."""
    with VonageSimulator(callback_ok=lambda url: "bad.example" not in url) as vonage:
        vonage.add_account(KEY, SECRET, name="Primary")
        yield vonage


@pytest.fixture(params=list(RestAuth))
def transport(vonage: VonageSimulator, request: pytest.FixtureRequest) -> VonageClient:
    """Return a client of it that authenticates in either way and does not wait."""
    return VonageClient(
        api_url=vonage.url,
        rest_url=vonage.url,
        timeout=60,
        max_requests_per_second=1e6,
        rest_auth=request.param,
        sleep=lambda _: None,
    )


@pytest.fixture
def accounts(transport: VonageClient) -> Accounts:
    """Return its accounts API."""
    return Accounts(transport)


def test_the_balance(accounts: Accounts) -> None:
    """The balance is exact, in euros."""
    balance = accounts.balance(CREDENTIAL)

    assert balance == Balance.model_validate({"value": Decimal("10.28"), "autoReload": False})


def test_a_wrong_credential_on_the_rest_host(accounts: Accounts) -> None:
    """The rest host's own shape of error is understood."""
    with pytest.raises(CredentialRefused, match="authentication failed"):
        accounts.balance(WRONG)


def test_a_top_up(vonage: VonageSimulator, accounts: Accounts) -> None:
    """With auto-reload, a top-up adds to the balance."""
    vonage.auto_reload = True
    before = accounts.balance(CREDENTIAL)
    accounts.top_up(CREDENTIAL, "8ef2447e69604f642ae59363aa5f781b")
    after = accounts.balance(CREDENTIAL)

    assert after.value > before.value
    assert after.auto_reload is True


def test_a_top_up_without_auto_reload(accounts: Accounts) -> None:
    """Its 401 is no refusal of the credential."""
    with pytest.raises(RequestRefused, match="not auto-reload enabled"):
        accounts.top_up(CREDENTIAL, "8ef2447e69604f642ae59363aa5f781b")


@pytest.mark.parametrize("transaction", ["", "two words", "x" * 129, "ä"])
def test_a_transaction_that_is_none(
    vonage: VonageSimulator, accounts: Accounts, transaction: str
) -> None:
    """What cannot be a reference is not sent."""
    with pytest.raises(ConfigError):
        accounts.top_up(CREDENTIAL, transaction)

    assert len(vonage.exchanges) == 0


def test_callbacks_are_changed_left_and_unset(accounts: Accounts) -> None:
    """A URL sets, "" unsets, None leaves, and an empty change reads."""
    inbound, receipts = "https://example.com/sms?a=1&b=2", "https://example.com/dlr"
    accounts.update_callbacks(
        CREDENTIAL,
        inbound_sms_url=inbound,
        delivery_receipt_url=receipts,
        forward_method=ForwardMethod.POST_JSON,
    )
    changed = accounts.settings(CREDENTIAL)
    unset = accounts.update_callbacks(CREDENTIAL, inbound_sms_url="", forward_method="")

    assert (changed.inbound_sms_url, changed.delivery_receipt_url) == (inbound, receipts)
    assert (unset.inbound_sms_url, unset.delivery_receipt_url) == (None, receipts)
    assert (changed.forward_method, unset.forward_method) == ("POST_JSON", None)
    assert unset.max_calls_per_second == 30


def test_a_callback_that_does_not_answer(accounts: Accounts) -> None:
    """Vonage calls a URL before it saves it; one that fails is refused."""
    with pytest.raises(RequestRefused):
        accounts.update_callbacks(CREDENTIAL, delivery_receipt_url="https://bad.example/")

    assert accounts.settings(CREDENTIAL).delivery_receipt_url is None


@pytest.mark.parametrize("url", ["example.com", "ftp://example.com", "https://exämple.com", " "])
def test_a_callback_that_is_no_url(vonage: VonageSimulator, accounts: Accounts, url: str) -> None:
    """What is no URL of http is not sent."""
    with pytest.raises(ConfigError):
        accounts.update_callbacks(CREDENTIAL, inbound_sms_url=url)

    assert len(vonage.exchanges) == 0


def test_only_one_way_to_authenticate(
    vonage: VonageSimulator, transport: VonageClient, request: pytest.FixtureRequest
) -> None:
    """A request to the rest host carries a header or a query, never both."""
    Accounts(transport).balance(CREDENTIAL)
    (exchange,) = vonage.exchanges
    in_query = RestAuth.QUERY in request.node.callspec.params.values()

    assert ("api_secret" in exchange.query) is in_query
    assert ("authorization" in exchange.request_headers) is not in_query


def test_subaccounts(vonage: VonageSimulator, transport: VonageClient) -> None:
    """A primary account sees its subaccounts."""
    vonage.add_account("aaaa1111", "ChildSecret0001", parent=KEY, name="Team A")
    vonage.add_account("bbbb2222", "ChildSecret0002", parent=KEY, suspended=True)
    found = Subaccounts(transport).list_subaccounts(CREDENTIAL)

    assert (found.primary_account.api_key, found.primary_account.name) == (KEY, "Primary")
    assert {account.api_key: account.suspended for account in found.subaccounts} == {
        "aaaa1111": False,
        "bbbb2222": True,
    }
    assert {account.primary_account_api_key for account in found.subaccounts} == {KEY}


def test_subaccounts_of_an_account_that_may_not(
    vonage: VonageSimulator, transport: VonageClient
) -> None:
    """An account without that API is told where to ask for it."""
    document = {"type": "https://developer.vonage.com/api-errors#unprovisioned", "title": "x"}
    vonage.faults.add(Fault("status", status=403, body=document))
    with pytest.raises(Forbidden) as caught:
        Subaccounts(transport).list_subaccounts(CREDENTIAL)

    assert "ask Vonage" in str(caught.value.hint)
