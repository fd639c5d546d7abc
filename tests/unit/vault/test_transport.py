import pytest

from rotator.vault.transport import VaultResponse


@pytest.mark.parametrize("body", [None, {}, {"errors": None}, {"errors": "x"}, {"errors": [1]}])
def test_what_is_no_list_of_texts_is_no_errors(body: dict[str, object] | None) -> None:
    """Errors are a list of texts, as Vault sends them, or are not known."""
    answer = VaultResponse(status=400, body=body)

    assert answer.errors is None
    assert not answer.says("x")
