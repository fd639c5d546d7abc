import pytest

from rotator.errors import ConfigError
from rotator.model.secret import whole_id

ONE, OTHER = "3b8f0a52-1a6c-4f0e-9d6e-2f5f3c1f7a10", "3b8f1c52-1a6c-4f0e-9d6e-2f5f3c1f7a11"
LISTED = [ONE, OTHER, "77d1", "77d1a"]


@pytest.mark.parametrize(
    ("given", "whole"),
    [
        ("3b8f0", ONE),
        (ONE[:8], ONE),
        (ONE, ONE),
        # A whole id wins, though another one begins with it.
        ("77d1", "77d1"),
        ("77d1a", "77d1a"),
        # What nothing begins with is looked up as it is.
        ("unknown", "unknown"),
        ("no", "no"),
        (f"{ONE}0", f"{ONE}0"),
    ],
)
def test_the_beginning_of_an_id_is_enough(given: str, whole: str) -> None:
    """Where it is that of one secret of the account alone."""
    assert whole_id(given, LISTED) == whole


@pytest.mark.parametrize(
    ("given", "what"), [("3b8f", "ambiguous"), ("3b8", "too short"), ("3", "too short")]
)
def test_an_ambiguous_beginning_is_refused_with_the_candidates(given: str, what: str) -> None:
    """As bad input: what it is to be is for the operator to say."""
    with pytest.raises(ConfigError, match=what) as caught:
        whole_id(given, LISTED)

    assert caught.value.exit_code == 2
    assert f"{ONE} or {OTHER}" in (caught.value.hint or "")


@pytest.mark.parametrize("given", ["77d", ""])
def test_three_characters_are_too_few(given: str) -> None:
    """A deletion by one or two would be a game of chance."""
    with pytest.raises(ConfigError, match="too short"):
        whole_id(given, ["77d1a"])
