"""What comes back from one call of a hook, and what of it may be kept."""

import json
import re
from dataclasses import dataclass

from rotator.model.convergence import Convergence
from rotator.model.redaction import MASK, redact

#: How much of a gate's answer is read, in bytes.
ANSWER_LIMIT = 64 * 1024

#: The name of a secret, unless it ends as that of an id or a location. Matched once per run of its
#: characters, up to the end of the run only: of "secret-secret-…", trying every start and every end
#: takes half a minute, in which no other thread runs.
_NAME = (
    r"(?<![\w-])[\w-]*(?:secret|token|passw(?:or)?d)"
    r"(?![\w-]*(?:ids?|file|path|field|version)\b)[\w-]*+"
)

#: What looks like a secret. The first group stays, so that the reason remains useful.
_SECRETS = tuple(
    re.compile(pattern)
    for pattern in (
        # HTTP credentials.
        r"(?i)(\b(?:basic|bearer)\s+)[\w+/=.~-]+",
        # Vault's tokens, in the format since 1.10 and in the former one.
        r"(\b)hv[sbr]\.[\w-]+",
        r"(\b)[sbr]\.[A-Za-z0-9]{20,}",
        # Signed tokens of platforms (RFC 7519).
        r"(\b)eyJ[\w-]+\.[\w.-]+",
        # A password in a URL.
        r"(://[^/\s:@]*:)[^/\s@]+(?=@)",
        # The value after such a name; without a digit it is a word.
        rf"(?i)({_NAME}[\"']?\s*[=:]\s*[\"']?)(?=[^\s\"'&,;]*\d)[^\s\"'&,;]{{8,}}",
        # Generated secrets, rotator's and others': a run of lower- and upper-case letters and
        # digits.
        r"(\b)(?=\w*[a-z])(?=\w*[A-Z])(?=\w*\d)[A-Za-z0-9]{16,}\b={0,2}",
    )
)


def redact_output(text: str) -> str:
    """Return a hook's output with live values, and anything that looks like a secret, masked."""
    text = redact(text)
    for pattern in _SECRETS:
        text = pattern.sub(rf"\1{MASK}", text)
    return text


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The answer of a hook, or why there is none. Contains no secret."""

    succeeded: bool
    #: The exit status with the first line of standard error, the HTTP status, or the failure.
    text: str
    #: What a gate says of its consumers, if it says so.
    convergence: Convergence | None = None

    @property
    def reason(self) -> str | None:
        """Reason of the failure; None for success."""
        return None if self.succeeded else self.text


def failed(reason: str) -> Answer:
    """Return that a call failed."""
    return Answer(succeeded=False, text=reason)


def convergence_in(output: bytes) -> Convergence | None:
    """Return what a gate says of its consumers; None for anything else.

    It is in the last line of the output: a JSON object with the numbers `consumers` and
    `converged`, and perhaps the names `behind`. Whoever wrote it is not trusted.
    """
    try:
        found = json.loads(output.decode(errors="replace").strip().rpartition("\n")[2])
    except (ValueError, RecursionError):
        return None
    return Convergence.of(found, redact_output)
