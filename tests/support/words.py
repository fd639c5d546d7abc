"""Whether a message is for people."""

import re

#: What only Python writes so: values without words, types, members of enumerations, lists.
_PYTHON = re.compile(
    r"\b(None|True|False|datetime|timedelta|Identity|Step\.\w+)\b"
    r"|[\[({]['\"]|[<\[{]\w|=|\d-\d\d \d\d:"
)


def unfit(message: str) -> str | None:
    """Return what stands in a message as Python would show it; None for nothing."""
    found = _PYTHON.search(message)
    return found[0] if found else None
