"""What a compliant Vonage secret is, and drawing one.

Vonage asks for 8 to 25 characters with a lower-case letter, an upper-case letter and a
digit (Account API, `createSecretRequest`). Which symbols it takes is undocumented and some
break consumers that put the secret into a query string, so letters and digits are all we use:
25 of them carry 148 bits.
"""

import secrets
import string
from collections.abc import Callable

MIN_LENGTH = 8
MAX_LENGTH = 25
ALPHABET = string.ascii_letters + string.digits


def is_compliant(value: str) -> bool:
    """Whether Vonage's documented rules accept `value`."""
    return (
        MIN_LENGTH <= len(value) <= MAX_LENGTH
        and any(character in string.ascii_lowercase for character in value)
        and any(character in string.ascii_uppercase for character in value)
        and any(character in string.digits for character in value)
    )


def draw(length: int, choice: Callable[[str], str] = secrets.choice) -> str:
    """Draw a compliant value of `length` characters.

    Whole values are drawn until one complies, so every compliant value is equally likely.
    `choice` picks one character and comes from the operating system's generator by default.

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
