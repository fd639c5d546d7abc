"""What a hook said of its failure, fit to be kept: without what is a secret, or looks like one.

A hook reads values from Vault by itself, and may be as talkative as `sh -x`. What it prints is
kept in the ledger for good. rotator knows the values that it has in memory; of all others, it
knows what they look like.
"""

import re

from rotator.redaction import MASK, redact

#: The name of something secret, unless it goes on to say that it is but its id or place. Looked for
#: once in each run of its characters, and with no other end than the run's: of "secret-secret-…",
#: a search from every part to every end takes half a minute, in which no other thread runs.
_NAME = (
    r"(?<![\w-])[\w-]*(?:secret|token|passw(?:or)?d)"
    r"(?![\w-]*(?:ids?|file|path|field|version)\b)[\w-]*+"
)
#: Of each, the first group stays, so that the reason is of use.
_SHAPES = tuple(
    re.compile(shape)
    for shape in (
        # HTTP's credentials.
        r"(?i)(\b(?:basic|bearer)\s+)[\w+/=.~-]+",
        # Vault's tokens, as they have been since 1.10 and as they were before.
        r"(\b)hv[sbr]\.[\w-]+",
        r"(\b)[sbr]\.[A-Za-z0-9]{20,}",
        # Signed tokens of platforms (RFC 7519).
        r"(\b)eyJ[\w-]+\.[\w.-]+",
        # User information in an address.
        r"(://[^/\s:@]*:)[^/\s@]+(?=@)",
        # What stands behind a name; without a digit it is a word.
        rf"(?i)({_NAME}[\"']?\s*[=:]\s*[\"']?)(?=[^\s\"'&,;]*\d)[^\s\"'&,;]{{8,}}",
        # What rotator and others draw: letters of both cases and digits, all in one.
        r"(\b)(?=\w*[a-z])(?=\w*[A-Z])(?=\w*\d)[A-Za-z0-9]{16,}\b={0,2}",
    )
)


def masked(text: str) -> str:
    """Give a text of a hook's without the values in memory, and what looks like other ones."""
    text = redact(text)
    for shape in _SHAPES:
        text = shape.sub(rf"\1{MASK}", text)
    return text
