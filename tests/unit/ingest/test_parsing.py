"""Bytes to items: what is odd gets its own error, and nothing else is lost."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.parsing import Malformed, Parser, TooMany
from ingest.schemas import EXAMPLES, ItemError, PostIn, Reason

PARSER = Parser(max_posts=50)
GOOD: dict[str, Any] = {"network": "x", "post_id": "1", "kind": "original", "text": "hello"}
RAW_GOOD = json.dumps(GOOD).encode()


def raw(**fields: Any) -> bytes:
    return json.dumps({**GOOD, **fields}).encode()


def with_raw(field: str, value: bytes) -> bytes:
    return RAW_GOOD[:-1] + b', "' + field.encode() + b'": ' + value + b"}"


SURROGATE = b'"\\ud800"'
DEEP = b"[" * 400 + b"]" * 400
BOTTOMLESS = b'[{"a":' * 3000 + b"1" + b"}]" * 3000

ODD: list[tuple[str, bytes, Reason, str | None]] = [
    ("a missing key", b'{"network": "x", "kind": "original"}', Reason.MISSING, "post_id"),
    ("an unknown field", raw(colour="red"), Reason.UNKNOWN_FIELD, "colour"),
    ("an unknown field within", raw(author={"id": "1", "age": 3}), Reason.UNKNOWN_FIELD, "author.age"),
    ("a NUL in a text", raw(text="a\0b"), Reason.BAD_VALUE, "text"),
    ("a NUL in an id", raw(post_id="a\0b"), Reason.BAD_VALUE, "post_id"),
    ("a lone surrogate in a text", with_raw("permalink", SURROGATE), Reason.BAD_ENCODING, "permalink"),
    ("a lone surrogate within", with_raw("author", b'{"id": ' + SURROGATE + b"}"), Reason.BAD_ENCODING, "author.id"),
    ("a lone surrogate as a key", RAW_GOOD[:-1] + b', "\\udfff": 1}', Reason.BAD_ENCODING, None),
    ("bytes that are not UTF-8", with_raw("language", b'"\xff\xfe"'), Reason.BAD_ENCODING, "language"),
    ("a surrogate written as bytes", with_raw("language", b'"\xed\xa0\x80"'), Reason.BAD_ENCODING, "language"),
    ("the year 0", raw(platform_at="0000-01-01T00:00:00Z"), Reason.BAD_TIME, "platform_at"),
    ("the year 9999", raw(created_at="9999-12-31T23:59:59Z"), Reason.BAD_TIME, "created_at"),
    ("the year 9999, west", raw(platform_at="9999-12-31T23:59:59-12:00"), Reason.BAD_TIME, "platform_at"),
    ("the epoch", raw(platform_at="1970-01-01T00:00:00Z"), Reason.BAD_TIME, "platform_at"),
    ("a date without a zone", raw(platform_at="2026-05-01T12:00:00"), Reason.BAD_TIME, "platform_at"),
    ("a number for a date", raw(platform_at=1700000000), Reason.BAD_TIME, "platform_at"),
    ("digits for a date", raw(platform_at="1700000000"), Reason.BAD_TIME, "platform_at"),
    ("a day for a date", raw(platform_at="2026-05-01"), Reason.BAD_TIME, "platform_at"),
    ("the 30th of February", raw(platform_at="2026-02-30T12:00:00Z"), Reason.BAD_TIME, "platform_at"),
    ("an id with a control character", raw(post_id="a\x1fb"), Reason.BAD_VALUE, "post_id"),
    ("an id with a line break", raw(parent_id="a\n"), Reason.BAD_VALUE, "parent_id"),
    ("an id of C1 controls", raw(root_id="\x85"), Reason.BAD_VALUE, "root_id"),
    ("an id too long", raw(post_id="a" * 201), Reason.TOO_LONG, "post_id"),
    ("an empty id", raw(post_id=""), Reason.BAD_VALUE, "post_id"),
    ("a number as id", raw(post_id=1), Reason.WRONG_TYPE, "post_id"),
    ("a negative count", raw(counters={"likes": -1}), Reason.OUT_OF_RANGE, "counters.likes"),
    ("a count over 2^53", raw(author={"id": "1", "followers": 2**53 + 1}), Reason.OUT_OF_RANGE, "author.followers"),
    ("a count of 30 digits", raw(counters={"views": 10**30}), Reason.OUT_OF_RANGE, "counters.views"),
    (
        "a count of 5000 digits",
        with_raw("counters", b'{"views": %s}' % (b"9" * 5000)),
        Reason.OUT_OF_RANGE,
        "counters.views",
    ),
    ("NaN", with_raw("counters", b'{"views": NaN}'), Reason.WRONG_TYPE, "counters.views"),
    ("infinity", with_raw("counters", b'{"views": 1e999}'), Reason.WRONG_TYPE, "counters.views"),
    ("a fraction", raw(counters={"views": 1.5}), Reason.WRONG_TYPE, "counters.views"),
    ("true as a count", raw(counters={"views": True}), Reason.WRONG_TYPE, "counters.views"),
    ("a digit string as a count", raw(counters={"views": "12"}), Reason.WRONG_TYPE, "counters.views"),
    ("an unknown kind", raw(kind="retweet"), Reason.BAD_VALUE, "kind"),
    ("a network in capitals", raw(network="X"), Reason.BAD_VALUE, "network"),
    ("a script as link", raw(permalink="javascript:alert(1)"), Reason.BAD_VALUE, "permalink"),
    ("a link with a user", raw(reply_link="https://bank.com@evil.example/"), Reason.BAD_VALUE, "reply_link"),
    ("a link with a blank", raw(permalink="https://a.example/ b"), Reason.BAD_VALUE, "permalink"),
    ("a link too long", raw(permalink="https://a.example/" + "a" * 2000), Reason.TOO_LONG, "permalink"),
    ("no language", raw(language="klingon language"), Reason.BAD_VALUE, "language"),
    ("too many brands", raw(brands=["a"] * 101), Reason.TOO_LONG, "brands"),
    ("a number", b"17", Reason.WRONG_TYPE, None),
    ("null", b"null", Reason.WRONG_TYPE, None),
    ("an array", b"[[]]", Reason.WRONG_TYPE, None),
    ("deep nesting", with_raw("text", DEEP), Reason.NESTED_TOO_DEEPLY, None),
    ("bottomless nesting", with_raw("text", BOTTOMLESS), Reason.NESTED_TOO_DEEPLY, None),
]


@pytest.mark.parametrize(("body", "code", "field"), [case[1:] for case in ODD], ids=[case[0] for case in ODD])
@pytest.mark.parametrize("form", ["array", "ndjson"])
def test_an_odd_item_gets_its_error_and_loses_no_other(form: str, body: bytes, code: Reason, field: str | None) -> None:
    if form == "array":
        first, odd, last = PARSER.items(b"[" + RAW_GOOD + b"," + body + b" , " + RAW_GOOD + b"]\n", ndjson=False)
    else:
        first, odd, last = PARSER.items(RAW_GOOD + b"\r\n\n" + body + b"\n" + RAW_GOOD, ndjson=True)
    assert isinstance(first, PostIn)
    assert first == last
    assert isinstance(odd, ItemError)
    assert (odd.code, odd.field) == (code, field)
    assert odd.message


@pytest.mark.parametrize(
    ("body", "code", "field"), [c[1:] for c in ODD if c[1][:1] == b"{"], ids=[c[0] for c in ODD if c[1][:1] == b"{"]
)
def test_an_odd_single_post_gets_the_same_error(body: bytes, code: Reason, field: str | None) -> None:
    (odd,) = PARSER.items(body, ndjson=False)
    assert isinstance(odd, ItemError)
    assert (odd.code, odd.field) == (code, field)


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_documented_examples_are_read(example: dict[str, Any]) -> None:
    (item,) = PARSER.items(json.dumps(example).encode(), ndjson=False)
    assert isinstance(item, PostIn)


@pytest.mark.parametrize(
    "moment", ["2026-05-01T12:00:00Z", "2026-05-01t12:00:00.123456789+02:00", "2026-05-01 12:00:00z"]
)
def test_rfc_3339_dates_are_read(moment: str) -> None:
    (item,) = PARSER.items(raw(platform_at=moment), ndjson=False)
    assert isinstance(item, PostIn)


def test_an_error_never_repeats_the_value() -> None:
    (odd,) = PARSER.items(raw(permalink="javascript:secret"), ndjson=False)
    assert isinstance(odd, ItemError)
    assert "secret" not in repr(odd)


def test_a_field_name_of_a_megabyte_does_not_come_back() -> None:
    (odd,) = PARSER.items(json.dumps({**GOOD, "\u0007" + "a" * 1_000_000: 1}).encode(), ndjson=False)
    assert isinstance(odd, ItemError)
    assert odd.field is not None
    assert len(odd.field) <= 100
    assert odd.field.isprintable()


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"nonsense", "line 1, column 1"),
        (b'{"a": 1', "line 1, column 8"),
        (b'{\n "a": }', "line 2, column 7"),
        (b"[1, 2", "line 1, column 6"),
        (b"[1 2]", "line 1, column 4"),
        (b"[1,]", "line 1, column 4"),
        (b"[1] x", "line 1, column 5"),
        (b"[", "line 1, column 2"),
        (b'{"a": 1}\n{"a": 2}', "NDJSON"),
        (b"17", "expected a JSON object or an array"),
        (b'"text"', "expected a JSON object or an array"),
        (b"\xef\xbb\xbf{}", "line 1, column 1"),
        (b'["\x01"]', "line 1, column 3"),
        (b"[" * 100_000, "line 1, column 2"),
        (b"\xff\xfe", "line 1, column 1"),
    ],
)
def test_malformed_json_is_named_with_line_and_column(body: bytes, says: str) -> None:
    with pytest.raises(Malformed, match=says):
        PARSER.items(body, ndjson=False)


def test_a_malformed_line_is_named_with_its_number() -> None:
    items = PARSER.items(RAW_GOOD + b"\n\n{oops\n" + RAW_GOOD, ndjson=True)
    assert items[1] == ItemError(
        Reason.NOT_JSON, None, "line 3, column 2: Expecting property name enclosed in double quotes"
    )
    assert isinstance(items[2], PostIn)


@pytest.mark.parametrize("ndjson", [True, False])
def test_more_posts_than_allowed_are_refused_as_a_whole(ndjson: bool) -> None:
    many = [RAW_GOOD] * 51
    with pytest.raises(TooMany, match="50"):
        PARSER.items(b"\n".join(many) if ndjson else b"[" + b",".join(many) + b"]", ndjson)


def test_a_million_tiny_items_are_refused_without_being_read() -> None:
    with pytest.raises(TooMany):
        PARSER.items(b"[" + b"1," * 1_000_000 + b"1]", ndjson=False)


def test_an_array_without_posts_has_no_items() -> None:
    assert PARSER.items(b"[ ]", ndjson=False) == []
    assert PARSER.items(b"\n \n", ndjson=True) == []


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda v: st.lists(v) | st.dictionaries(st.text(), v),
)


@given(st.lists(VALUES | st.just(GOOD), max_size=8))
@settings(deadline=None, derandomize=True)
def test_every_item_gets_one_answer_whatever_stands_beside_it(values: list[Any]) -> None:
    for ndjson in (False, True):
        body = "\n".join(map(json.dumps, values)) if ndjson else json.dumps(values)
        items = PARSER.items(body.encode(), ndjson)
        assert len(items) == len(values)
        assert [isinstance(i, PostIn) for i in items] == [v == GOOD for v in values]


@given(st.binary(max_size=200), st.booleans())
@settings(deadline=None, derandomize=True, max_examples=300)
def test_no_bytes_raise_anything_but_malformed(body: bytes, ndjson: bool) -> None:
    for odd in (body, b"[" + body, b"[" + body + b"]", b"{" + body + b"}"):
        try:
            PARSER.items(odd, ndjson)
        except Malformed:
            continue
