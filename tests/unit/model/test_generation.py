import secrets
import string
from collections import Counter
from itertools import cycle

import pytest

from rotator.model import generation


@pytest.mark.parametrize(
    ("value", "is_compliant"),
    [
        ("aB3aaaaa", True),
        ("aB3" + "a" * 22, True),
        ("aB3aaaa", False),
        ("aB3" + "a" * 23, False),
        ("", False),
        ("ABCDEFG1", False),
        ("abcdefg1", False),
        ("abcdEFGH", False),
        ("aB3$ %&/", True),
        # Letters and digits are those of ASCII.
        ("ÄÖÜäöü12", False),
        ("aB٣٣٣٣٣٣", False),
    ],
)
def test_compliance(value: str, *, is_compliant: bool) -> None:
    """Vonage asks for 8 to 25 characters, a lower-case and an upper-case letter, and a digit."""
    assert generation.is_compliant(value) is is_compliant


@pytest.mark.parametrize("length", [-1, 0, 7, 26, 1000])
def test_a_length_that_vonage_does_not_take(length: int) -> None:
    """A policy that slipped through is stopped before a value is drawn."""
    with pytest.raises(ValueError, match=f"8 to 25 characters, not {length}"):
        generation.generate(length)


def test_a_value_that_does_not_comply_is_drawn_anew() -> None:
    """Whole values are thrown away, not mended: mending would favour some of them."""
    drawn = cycle("aaaaaaaaABCDEFGH12345678abcdEFG1unused")

    assert generation.generate(8, choice=lambda _alphabet: next(drawn)) == "abcdEFG1"


def test_characters_are_drawn_from_letters_and_digits() -> None:
    """Every character is asked for with the whole alphabet, which breaks no query string."""
    asked: list[str] = []

    def choose(alphabet: str) -> str:
        asked.append(alphabet)
        return secrets.choice(alphabet)

    value = generation.generate(25, choice=choose)

    assert set(asked) == {string.ascii_letters + string.digits}
    assert len(asked) % 25 == 0
    assert value.isalnum()


def test_chance_is_the_operating_systems() -> None:
    """Values come from the generator that is made for secrets."""
    assert generation.generate.__defaults__ == (secrets.choice,)


def test_every_character_is_as_likely_at_every_place() -> None:
    """Over many values no character and no place stands out.

    Each of the 62 is expected 1000 times; a fair draw misses the bounds less than once in 10^9.
    """
    values = [generation.generate(25) for _ in range(2480)]
    everywhere = Counter("".join(values))
    kinds = [sum(value[place].isdigit() for value in values) for place in range(25)]

    assert set(everywhere) == set(generation.ALPHABET)
    assert all(750 < count < 1250 for count in everywhere.values())
    # A digit at a place: 2480 * 10 / 62 = 400.
    assert all(260 < count < 550 for count in kinds)
    assert len(set(values)) == len(values)
