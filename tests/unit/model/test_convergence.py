"""How many consumers use the new secret: read from anywhere, and in words."""

import json

import pytest

from rotator.model.convergence import Convergence

FOUND = {"consumers": 3, "converged": 1, "behind": ["a", "b"]}


@pytest.mark.parametrize(
    "found",
    [
        None,
        5,
        [FOUND],
        {},
        {"consumers": 3},
        {"converged": 3},
        {**FOUND, "consumers": "3"},
        {**FOUND, "consumers": True},
        {**FOUND, "consumers": 3.0},
        {**FOUND, "converged": None},
        {**FOUND, "converged": -1},
        {**FOUND, "converged": 4},
        {**FOUND, "consumers": 10**7},
        {**FOUND, "consumers": 10**300},
    ],
)
def test_what_makes_no_sense_says_nothing(found: object) -> None:
    """Whoever wrote it is not trusted."""
    assert Convergence.of(found) is None


@pytest.mark.parametrize(
    ("behind", "names"),
    [
        (["a", "b"], ("a", "b")),
        (["a", "b", "c"], ("a", "b")),
        ([], ()),
        (None, ()),
        ("ab", ()),
        ({"a": 1}, ()),
        ([1, "", " ", "b"], ()),
        (["  a\n\x1b[31m", "\ud800"], ("a \ufffd[31m", "\ufffd")),
        (["x" * 1000], ("x" * 100,)),
    ],
)
def test_names_are_few_and_fit_to_be_printed(behind: object, names: tuple[str, ...]) -> None:
    """No more of them than consumers that are behind."""
    found = Convergence.of({**FOUND, "behind": behind})

    assert found == Convergence(consumers=3, converged=1, behind=names)


def test_at_most_twenty_are_named() -> None:
    """However many there are."""
    found = Convergence.of({"consumers": 99, "converged": 0, "behind": ["a"] * 99})

    assert found
    assert len(found.behind) == 20
    assert str(found).endswith("a, a and 79 more")


def test_names_are_masked_before_they_are_cut() -> None:
    """Half a value could not be recognised."""
    secret = "s3cret" * 30
    found = Convergence.of({**FOUND, "behind": [secret]}, lambda text: text.replace(secret, "***"))

    assert found
    assert found.behind == ("***",)


def test_it_is_told_in_words() -> None:
    """With names where there are any, and read back as it was."""
    named, bare = (
        Convergence(consumers=3, converged=1, behind=("a",)),
        Convergence.of({"consumers": 2, "converged": 2}),
    )

    assert str(named) == "1 of 3 consumers use the new secret; not yet: a and 1 more"
    assert str(bare) == "2 of 2 consumers use the new secret"
    assert Convergence.of(json.loads(json.dumps(named.document()))) == named
