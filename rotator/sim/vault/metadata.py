"""A key's custom metadata: its limits.

Source: `validateCustomMetadata` in OpenBao's path_metadata.go.
"""

from rotator.sim.message import Refused
from rotator.sim.vault import responses
from rotator.sim.vault.body import table

MAX_KEYS = 64
MAX_KEY_BYTES = 128
MAX_VALUE_BYTES = 512


def checked(given: object) -> dict[str, str]:
    """Give custom metadata as texts.

    Raises:
        Refused: it is no object, or breaks a limit.
    """
    raw = table(given, "custom_metadata")
    if len(raw) > MAX_KEYS:
        raise _refused(f"payload must contain at most {MAX_KEYS} keys, provided {len(raw)}")
    texts = {name: _text(value) for name, value in raw.items()}
    for name, value in texts.items():
        _check(f'key "{name}"', "key", name, MAX_KEY_BYTES)
        _check(f'value for key "{name}"', "value", value, MAX_VALUE_BYTES)
    return texts


def _text(value: object) -> str:
    # What is no text becomes one as in Go: true is 1, null is empty.
    if isinstance(value, bool):
        return str(int(value))
    return "" if value is None else str(value)


def _check(what: str, kind: str, text: str, longest: int) -> None:
    size = len(text.encode())
    if not 0 < size <= longest:
        raise _refused(f"length of {what} is {size} but must be 0 < len({kind}) <= {longest}")
    if not text.isprintable():
        raise _refused(f"{what} contains unprintable characters")


def _refused(text: str) -> Refused:
    message = f"1 error occurred:\n\t* custom_metadata validation failed: {text}\n\n"
    return Refused(responses.error(400, message))
