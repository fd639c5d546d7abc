"""Compliant Vonage secrets: the rules, and generating one.

Vonage requires 8 to 25 characters with a lower-case letter, an upper-case letter and a digit
(Account API, `createSecretRequest`). Which symbols it accepts is undocumented, and some break
consumers that put the secret into a query string, so only letters and digits are used: 25 of them
carry 148 bits.
"""

import secrets
import string
from collections.abc import Callable

MIN_LENGTH = 8
MAX_LENGTH = 25
ALPHABET = string.ascii_letters + string.digits


def is_compliant(value: str) -> bool:
    """Return whether `value` complies with Vonage's documented rules."""
    return (
        MIN_LENGTH <= len(value) <= MAX_LENGTH
        and any(character in string.ascii_lowercase for character in value)
        and any(character in string.ascii_uppercase for character in value)
        and any(character in string.digits for character in value)
    )


def generate(length: int, choice: Callable[[str], str] = secrets.choice) -> str:
    """Generate a compliant value of `length` characters.

    Whole values are generated until one complies, so every compliant value is equally likely.
    `choice` picks one character; by default, with the operating system's generator.

    Raises:
        ValueError: `length` is not within 8 to 25.
    """
    if not MIN_LENGTH <= length <= MAX_LENGTH:
        message = f"a Vonage secret has {MIN_LENGTH} to {MAX_LENGTH} characters, not {length}"
        raise ValueError(message)
    while True:
        value = "".join(choice(ALPHABET) for _ in range(length))
        if is_compliant(value):
            return value
