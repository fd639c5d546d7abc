"""Times that Vonage and Vault tell, however odd, can be reckoned with."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from rotator.config.types import LONGEST
from rotator.model import EARLIEST, LATEST
from rotator.model.times import rfc3339
from rotator.reporting import text
from rotator.rotation import schedule, window
from rotator.vault import kv
from rotator.vault.auth.token import granted
from rotator.vault.entries import NOTE_FIELD, current_of
from rotator.vonage.response import Moment, lead
from tests.support.samples import NOW, account, next_due, policy

YEARS = st.sampled_from([1, 2, 1969, 1970, 2026, 2038, 2999, 3000, 9998, 9999])
OFFSETS = st.sampled_from(["", "Z", "+14:00", "-12:00", "+00:00", "-23:59"])
WRITTEN = st.builds(
    lambda year, day, clock, offset: f"{year:04}-{day}T{clock}{offset}",
    YEARS,
    st.sampled_from(["01-01", "12-31", "06-15"]),
    st.sampled_from(["00:00:00", "23:59:59", "23:59:59.999999999"]),
    OFFSETS,
)
#: With windows, a cron expression and the longest of everything.
ACCOUNTS = [
    account(policy=policy(every=LONGEST, jitter=LONGEST, grace=LONGEST)),
    account(policy=policy(every=None, cron="0 3 * * sun", jitter=LONGEST)),
    account(policy=policy(window=("sun 02:00-05:00",), timezone="Pacific/Auckland")),
]


def reckon(at: datetime) -> None:
    """Do with a time what is done with those that others tell."""
    assert EARLIEST <= at <= LATEST
    assert at.tzinfo is UTC
    for one in ACCOUNTS:
        due = next_due(one, at)
        window.opens_at(one.policy, due + LONGEST)
        text.age_text(at, NOW)
        text.moment(due)
        rfc3339(at)
    schedule.next_check("a", at, interval=timedelta(hours=6))


@given(written=WRITTEN)
@example(written="0001-01-01T00:00:00+14:00")
@example(written="9999-12-31T23:59:59-14:00")
def test_a_secrets_creation(written: str) -> None:
    """It is a time in the calendar, or an answer that nobody understands."""
    try:
        at = TypeAdapter(Moment).validate_python(written)
    except ValidationError:
        return

    reckon(at)


@given(told=WRITTEN | st.text(max_size=30) | st.none() | st.integers() | st.booleans())
def test_a_versions_end(told: Any) -> None:  # noqa: ANN401  # whatever JSON holds
    """Whatever is told that is not empty, is some time: such a version is not relied on."""
    at = kv._end(told)

    assert (at is None) == (told is None or told == "")
    if at:
        reckon(at)


@given(written=WRITTEN)
def test_when_a_note_was_written(written: str) -> None:
    """A note has a time with an offset, or is none."""
    ids = dict.fromkeys(("secret_id", "rotation_id", "ledger_head", "check"), "x")
    fields = {NOTE_FIELD: ids | {"rotated_at": written}, "api_secret": "x"}
    note = current_of(account(), 1, fields).entry.note

    if note:
        reckon(note.rotated_at)


@given(date=st.text(max_size=40) | WRITTEN, came_at=st.floats(0, 2e10))
@example(date="Fri, 31 Dec 9999 23:59:59 GMT", came_at=0.0)
@example(date="Thu, 01 Jan 1970 00:00:00 GMT", came_at=2e10)
def test_a_servers_clock(date: str, came_at: float) -> None:
    """A lead can be taken from any time of a rotation."""
    assert NOW - lead(date, came_at) != NOW + timedelta(days=1_000_000)


@given(seconds=st.integers(0) | st.floats(0) | st.just(10**400) | st.just(float("nan")))
def test_a_tokens_end(seconds: float) -> None:
    """It can be shown, or the token has none."""
    lease = granted({"client_token": "t", "lease_duration": seconds}, NOW.timestamp())

    assert lease is not None
    if lease.expires_at is not None:
        assert datetime.fromtimestamp(lease.expires_at, UTC) >= NOW
