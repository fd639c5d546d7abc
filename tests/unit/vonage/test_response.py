import gzip
import json
import time
import traceback
import tracemalloc
import zlib
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import create_model

from rotator.errors import UnexpectedAnswer
from rotator.model import EARLIEST, LATEST, SecretValue
from rotator.network import HttpResponse
from rotator.vonage import Balance
from rotator.vonage.response import (
    LIMIT,
    Answer,
    Count,
    Euros,
    Identifier,
    Moment,
    Text,
    Title,
    content_of,
    document_of,
    read,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def answered(body: bytes | None, **headers: str) -> HttpResponse:
    """Make an answer; underscores in header names stand for hyphens."""
    wire = {name.replace("_", "-").lower(): value for name, value in headers.items()}
    return HttpResponse(status=200, headers=wire, body=body)


def value_of(kind: Any, told: object) -> Any:  # noqa: ANN401  # one of the types
    """Return what a field of a type makes of what it is told."""
    model = create_model("Model", __base__=Answer, field=(kind, ...))
    body = json.dumps({"field": told}, default=float)
    digits = str(told) if isinstance(told, Decimal) else None
    found: Any = read(model, answered((f'{{"field": {digits}}}' if digits else body).encode()))
    return found.field


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html></html>",
        b"[]",
        b"null",
        b'"text"',
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1, "a": 2}',
        b'{"b": {"a": 1, "a": 1}}',
        b'{"a": 1e99999999999999999999}',
        b'{"a": ' + b"1" * 5000 + b"}",
        b"[" * 200_000,
        b'{"a":' * 100_000,
        b'{"a": "\xff"}',
        '{"a": 1}'.encode("utf-16"),
        b'\xef\xbb\xbf{"a": 1}',
        b'{"a": 1} trailing',
        None,
    ],
)
def test_document_refuses_what_is_no_json_object(body: bytes | None) -> None:
    """A body that is not one unambiguous JSON object of bounded size is unexpected."""
    with pytest.raises(UnexpectedAnswer):
        document_of(answered(body))


@given(st.binary(max_size=200))
def test_document_of_any_bytes(body: bytes) -> None:
    """Whatever bytes come, there is a mapping or an `UnexpectedAnswer`."""
    try:
        document = document_of(answered(body))
    except UnexpectedAnswer:
        return

    assert isinstance(document, dict)


def test_document_keeps_decimals_exact() -> None:
    """A balance is what its digits say, not the nearest binary fraction."""
    document = document_of(answered(b'{"value": 10.171275}'))

    assert document["value"] == Decimal("10.171275")


def test_document_ignores_the_media_type() -> None:
    """Vonage's JSON comes under several media types, so none is asked for."""
    document = document_of(answered(b'{"a": 1}', content_type="text/html"))

    assert document == {"a": 1}


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", gzip.compress(b'{"a": 1}', mtime=0)),
        ("X-GZIP", gzip.compress(b'{"a": 1}', mtime=0)),
        ("deflate", zlib.compress(b'{"a": 1}')),
        ("identity", b'{"a": 1}'),
    ],
)
def test_packed_answers_are_read(encoding: str, packed: bytes) -> None:
    """A proxy that packs an answer unasked does no harm."""
    document = document_of(answered(packed, content_encoding=encoding))

    assert document == {"a": 1}


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", gzip.compress(b'{"a": "' + b" " * LIMIT + b'"}', mtime=0)),
        ("gzip", b'{"a": 1}'),
        ("gzip", gzip.compress(b'{"a": 1}', mtime=0)[:-9]),
        ("gzip", b""),
        ("br", b'{"a": 1}'),
        ("gzip, gzip", gzip.compress(gzip.compress(b'{"a": 1}', mtime=0), mtime=0)),
    ],
)
def test_bombs_and_broken_packing_are_refused(encoding: str, packed: bytes) -> None:
    """What unpacks beyond the limit, is cut off or is packed otherwise is unexpected."""
    with pytest.raises(UnexpectedAnswer):
        document_of(answered(packed, content_encoding=encoding))


def test_a_bomb_is_not_unpacked_beyond_the_limit() -> None:
    """Of a bomb of many megabytes little more than the limit is ever in memory."""
    bomb = answered(zlib.compress(b" " * 50_000_000), content_encoding="deflate")
    tracemalloc.start()
    try:
        with pytest.raises(UnexpectedAnswer, match="longer than 1 MB"):
            content_of(bomb)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 4 * LIMIT


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2018-12-03T10:07:23Z", datetime(2018, 12, 3, 10, 7, 23, tzinfo=UTC)),
        ("2018-12-03T10:07:23+00:00", datetime(2018, 12, 3, 10, 7, 23, tzinfo=UTC)),
        ("2018-12-03T10:07:23.227Z", datetime(2018, 12, 3, 10, 7, 23, 227000, tzinfo=UTC)),
        ("2018-12-03T12:07:23+02:00", datetime(2018, 12, 3, 10, 7, 23, tzinfo=UTC)),
        ("2018-12-03T10:07:23", datetime(2018, 12, 3, 10, 7, 23, tzinfo=UTC)),
        ("2018-12-03 10:07:23Z", datetime(2018, 12, 3, 10, 7, 23, tzinfo=UTC)),
    ],
)
def test_moment_reads_every_spelling_seen(written: str, meant: datetime) -> None:
    """Any offset, or none, comes out as the same instant in UTC."""
    moment = value_of(Moment, written)

    assert moment == meant
    assert moment.tzinfo is UTC


def test_moment_without_an_offset_is_not_local_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A time without an offset is UTC wherever rotator runs."""
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    time.tzset()
    moment = value_of(Moment, "2018-12-03T10:07:23")
    monkeypatch.undo()
    time.tzset()

    assert moment == datetime(2018, 12, 3, 10, 7, 23, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "taken"),
    [
        ("0001-01-01T00:00:00Z", EARLIEST),
        ("0001-01-01T00:00:00+14:00", EARLIEST),
        ("9999-12-31T23:59:59Z", LATEST),
        ("9999-12-31T23:59:59-14:00", LATEST),
    ],
)
def test_a_moment_that_cannot_be_meant_is_the_nearest_that_can(
    written: str, taken: datetime
) -> None:
    """A secret from the year 1 is old, one from 9999 is young, and the account goes on."""
    assert value_of(Moment, written) == taken


@pytest.mark.parametrize(
    "written",
    [
        None,
        0,
        "",
        "yesterday",
        "2018-12-03",
        "2018-W49-1",
        "2018-13-03T10:07:23Z",
        "2018-12-03T10:07:23+99:00",
        "2018-12-03T10:07:23Z; rm -rf",
    ],
)
def test_moment_refuses_anything_else(written: object) -> None:
    """A time that cannot be placed exactly is unexpected."""
    with pytest.raises(UnexpectedAnswer):
        value_of(Moment, written)


@pytest.mark.parametrize(
    "written",
    [
        None,
        7,
        "",
        ".",
        "..",
        "../secrets",
        "a/b",
        "a b",
        "a\n",
        "a\x1b[2J",
        "ä",
        "x" * 129,
        "-rf",
        "a?b",
        "a%2fb",
    ],
)
def test_identifier_refuses_what_could_mean_something_else(written: object) -> None:
    """An id that would change a path or a terminal is unexpected."""
    with pytest.raises(UnexpectedAnswer):
        value_of(Identifier, written)


@pytest.mark.parametrize("written", ["abcd1234", "ad6dc56f-07b5-46e1-a527-85530e625800", "A_b.c"])
def test_identifier_takes_what_vonage_shows(written: str) -> None:
    """Api keys and UUIDs are ids."""
    identifier = value_of(Identifier, written)

    assert identifier == written


@pytest.mark.parametrize(
    "written",
    [None, True, "10.28", [], Decimal("1e13"), 10**12, Decimal("1e-31"), Decimal("0e999999")],
)
def test_amount_refuses_what_is_no_money(written: object) -> None:
    """Truth values, texts and numbers out of all bounds are no amounts."""
    with pytest.raises(UnexpectedAnswer):
        value_of(Euros, written)


@pytest.mark.parametrize("written", [0, -3, 7, Decimal("10.171275"), Decimal("-0.01")])
def test_amount_takes_numbers(written: Decimal | int) -> None:
    """Whole or broken, positive or not, a number is an amount."""
    euros = value_of(Euros, written)

    assert euros == written
    assert isinstance(euros, Decimal)


def test_text_is_safe_on_a_terminal() -> None:
    """A name cannot move the cursor, nor break the encoding of what shows it."""
    shown = value_of(Text, "Ünal\x1b[2J\n\ud800")

    assert shown == "Ünal\ufffd[2J \ufffd"


@pytest.mark.parametrize("written", [-1, 1.5, True, "30", [], 10**13])
def test_count_refuses_what_counts_nothing(written: object) -> None:
    """A limit is a whole number and not negative."""
    with pytest.raises(UnexpectedAnswer):
        value_of(Count, written)


class Everything(Answer):
    """A model with a field of each type."""

    identifier: Identifier | None = None
    text: Text | None = None
    title: Title | None = None
    flag: bool | None = None
    count: Count | None = None
    euros: Euros | None = None
    moment: Moment | None = None


@given(value=JSON, key=st.sampled_from(sorted(Everything.model_fields)))
def test_no_field_fails_otherwise(value: object, key: str) -> None:
    """Whatever stands at a key, there is a value or an error that says it is unexpected."""
    response = answered(json.dumps({key: value, "other": 1}).encode())
    try:
        read(Everything, response)
    except UnexpectedAnswer as error:
        message = error.message

        assert message.startswith(UnexpectedAnswer().message)


SECRET = SecretValue("Abcdefgh12345")


@pytest.mark.parametrize("key", ["identifier", "title", "flag", "count", "euros", "moment"])
@pytest.mark.parametrize("told", [SECRET.reveal(), [SECRET.reveal()], {SECRET.reveal(): 1}])
def test_what_is_unexpected_is_never_quoted(key: str, told: object) -> None:
    """An answer may hold a secret value: neither the error nor what led to it repeats it."""
    response = answered(json.dumps({key: told}).encode())
    with pytest.raises(UnexpectedAnswer) as caught:
        read(Everything, response)

    error = caught.value
    assert SECRET.reveal() not in "".join(traceback.format_exception(error))
    assert (error.__cause__, error.__context__) == (None, None)


def test_fields_have_vonages_names_alone() -> None:
    """What happens to be named as a field is here is another field, as all that are unknown."""
    with pytest.raises(UnexpectedAnswer, match="autoReload"):
        read(Balance, answered(b'{"value": 1, "auto_reload": true}'))
