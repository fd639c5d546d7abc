"""The hash chain that makes the ledger tamper-evident.

An entry is hashed as canonical JSON: keys sorted, no spaces, UTF-8 unescaped. Its hash is
SHA-256 over the previous hash and that text; the first previous hash is 64 zeros.
"""

import hashlib
import json
from datetime import datetime
from json.encoder import encode_basestring
from typing import NamedTuple

from rotator.model.times import rfc3339_exact
from rotator.rotation.ports import NewEntry

#: The hash before an account's first entry.
GENESIS = "0" * 64


class Entry(NamedTuple):
    """One entry of the ledger, column by column.

    A tuple, as that is the fastest type for a row, and verification reads millions of rows.
    """

    account: str
    seq: int
    rotation_id: str | None
    at: str
    event: str
    step: str | None
    #: Canonical JSON.
    detail: str
    prev_hash: str
    hash: str

    def exported(self) -> dict[str, object]:
        """Return the entry as `ledger export` prints it."""
        try:
            detail = json.loads(self.detail)
        except (ValueError, RecursionError):
            # Somebody changed it. The rest of the record is still evidence.
            detail = self.detail
        return {
            "account": self.account,
            "at": self.at,
            "detail": detail,
            "event": self.event,
            "rotation_id": self.rotation_id,
            "seq": self.seq,
            "step": self.step,
            "prev_hash": self.prev_hash,
            "hash": self.hash,
        }


def canonical_json(value: object) -> str:
    """Return the canonical JSON of `value`, which is what is hashed."""
    return _ENCODER.encode(value)


#: Created once: creating it takes as long as encoding a text.
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def linked(draft: NewEntry, *, account: str, at: datetime, seq: int, prev_hash: str) -> Entry:
    """Build an entry from `draft`: the account's `seq`th, after the one whose hash is `prev_hash`.

    Raises:
        UnicodeEncodeError: a text in it is not Unicode, such as JSON's unpaired surrogates.
    """
    entry = Entry(
        account=account,
        seq=seq,
        rotation_id=draft.rotation_id,
        at=rfc3339_exact(at),
        event=draft.event,
        step=draft.step,
        detail=canonical_json(draft.detail),
        prev_hash=prev_hash,
        hash="",
    )
    return entry._replace(hash=hash_of(entry))


def hash_of(entry: Entry) -> str:
    """Return the hash that an entry must have.

    Joins the canonical text from its parts, as `detail` is stored in canonical form: parsing and
    encoding it again would dominate the time to verify a ledger.

    Raises:
        ValueError: `prev_hash` is not hexadecimal, or a text is not Unicode.
    """
    text = (
        f'{{"account":{_text(entry.account)},"at":{_text(entry.at)},"detail":{entry.detail},'
        f'"event":{_text(entry.event)},"rotation_id":{_text(entry.rotation_id)},'
        f'"seq":{entry.seq},"step":{_text(entry.step)}}}'
    )
    return hashlib.sha256(bytes.fromhex(entry.prev_hash) + text.encode()).hexdigest()


def _text(value: str | None) -> str:
    return "null" if value is None else encode_basestring(value)


def fault(entry: Entry, *, prev_hash: str, seq: int) -> str | None:
    """Return what is wrong with `entry` as the successor of `prev_hash`; None if nothing is."""
    if entry.seq != seq:
        return f"entry {seq} is missing: {entry.seq} stands in its place"
    if entry.prev_hash != prev_hash:
        return f"entry {seq} does not follow the one before it"
    try:
        is_whole = hash_of(entry) == entry.hash
    except (TypeError, ValueError):
        # SQLite does not enforce column types.
        is_whole = False
    return None if is_whole else f"entry {seq} was changed"
