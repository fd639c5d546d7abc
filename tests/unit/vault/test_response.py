import base64

import pytest

from rotator.vault.response import VaultResponse, checked_index, index_headers

CLUSTER = "9783681c-c54e-1300-400b-85696a0fb2d5"


def encoded(text: str) -> str:
    """Return what a server would send."""
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "content",
    [
        f'{{"cluster":"{CLUSTER}","value":"38"}}',
        f"v1:{CLUSTER}:12:0:c2lnbmF0dXJl",
    ],
)
def test_an_index_is_what_servers_send(content: str) -> None:
    """That of OpenBao, and that of Vault Enterprise."""
    index = encoded(content)

    assert checked_index(index) == index
    assert index_headers(index)["X-Vault-Index"] == index


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "Abcdefgh1",
        "Zyxwvuts9Zyxwvuts9Zyxwvut",
        "é",
        encoded("é"),
        encoded("[" * 300),
        encoded('["a"]'),
        encoded('{"cluster":"c","value":"38"}'),
        encoded(f'{{"cluster":"{CLUSTER}","value":"Abcdefgh1"}}'),
        encoded(f'{{"cluster":"{CLUSTER}","value":38}}'),
        encoded(f'{{"cluster":"{CLUSTER}","value":"38","more":"Abcdefgh1"}}'),
        encoded(f'{{"cluster":"Abcdefgh1","cluster":"{CLUSTER}","value":"38"}}'),
        encoded(f"v1:{CLUSTER}:Abcdefgh1:0:c2ln"),
        encoded("x" * 600),
    ],
)
def test_what_could_be_a_value_is_no_index(text: str | None) -> None:
    """It is kept in the ledger, where no value may be."""
    assert checked_index(text) == ""
    assert index_headers("") == {}


@pytest.mark.parametrize("body", [None, {}, {"errors": None}, {"errors": "x"}, {"errors": [1]}])
def test_what_is_no_list_of_texts_is_no_errors(body: dict[str, object] | None) -> None:
    """Errors are a list of texts, as Vault sends them, or are not known."""
    answer = VaultResponse(status=400, body=body)

    assert answer.errors is None
    assert not answer.says("x")
