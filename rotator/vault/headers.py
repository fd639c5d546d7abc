"""Reads and builds the headers of Vault that rotator uses."""

import base64
import json
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

#: Longest wait that a server can ask for, in seconds.
_LONGEST_WAIT = 3600.0
#: Characters. OpenBao's index is base64 of a cluster and a number; Vault Enterprise's is similar.
_LONGEST_INDEX = 512
_CLUSTER = r"[0-9a-fA-F-]{36}"
_ENTERPRISE = re.compile(rf"v1:{_CLUSTER}:\d{{1,20}}:\d{{1,20}}:[A-Za-z0-9+/=]{{1,128}}")


def asking_for(index: str) -> dict[str, str]:
    """Build the headers that make a node which lags behind `index` forward to the active one.

    Servers that do not know them ignore them.
    """
    if not index:
        return {}
    return {"X-Vault-Index": index, "X-Vault-Inconsistent": "forward-active-node"}


def seconds_of(retry_after: str | None) -> float | None:
    """Parse `Retry-After`, which is seconds or a date; None where it is neither."""
    text = (retry_after or "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text):
        return min(float(text), _LONGEST_WAIT)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    return min(max(0.0, (moment - datetime.now(UTC)).total_seconds()), _LONGEST_WAIT)


def checked_index(text: str | None) -> str:
    """Return a valid `X-Vault-Index`; "" for anything else.

    It is kept in the ledger and sent back, so that nothing may pass that could be a value: it names
    a cluster by its UUID, and a count.
    """
    if text is None or len(text) > _LONGEST_INDEX or not text.isascii():
        return ""
    try:
        content = base64.b64decode(text, validate=True).decode("ascii")
    except ValueError:
        return ""
    return text if _ENTERPRISE.fullmatch(content) or _is_openbaos(content) else ""


def _is_openbaos(content: str) -> bool:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return False
    if not isinstance(document, dict) or document.keys() != {"cluster", "value"}:
        return False
    cluster, value = document["cluster"], document["value"]
    if not isinstance(cluster, str) or not isinstance(value, str):
        return False
    return bool(re.fullmatch(_CLUSTER, cluster) and re.fullmatch(r"\d{1,20}", value))
