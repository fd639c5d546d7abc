import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.model import generation

LENGTHS = st.integers(generation.MIN_LENGTH, generation.MAX_LENGTH)


@given(length=LENGTHS, seed=st.integers())
def test_every_drawn_value_complies(length: int, seed: int) -> None:
    """Whatever the chance, a value has the length asked for and what Vonage demands."""
    chance = random.Random(seed)
    value = generation.generate(length, choice=chance.choice)

    assert len(value) == length
    assert generation.is_compliant(value)
    assert value.isascii()
    assert value.isalnum()


@given(length=LENGTHS)
def test_two_values_differ(length: int) -> None:
    """No value is drawn twice."""
    assert generation.generate(length) != generation.generate(length)


@given(length=st.integers().filter(lambda length: not 8 <= length <= 25))
def test_no_other_length_is_drawn(length: int) -> None:
    """Outside Vonage's bounds nothing is drawn."""
    with pytest.raises(ValueError, match="characters"):
        generation.generate(length)


@given(value=st.text(st.characters(codec="ascii"), max_size=30))
def test_compliance_is_vonages_rule(value: str) -> None:
    """A value complies just if it has the length and the three kinds of character."""
    kinds = [str.islower, str.isupper, str.isdigit]
    expected = 8 <= len(value) <= 25 and all(any(map(kind, value)) for kind in kinds)

    assert generation.is_compliant(value) is expected
