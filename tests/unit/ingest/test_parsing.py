"""Bytes to items: what is odd gets its own error, and nothing else is lost."""

from __future__ import annotations

import codecs
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.claims import Claim, Reduced
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
    ("a NUL in an id", raw(post_id="a\0b"), Reason.BAD_VALUE, "post_id"),
    ("a lone surrogate in a text", with_raw("reply_to", SURROGATE), Reason.BAD_ENCODING, "reply_to"),
    (
        "a lone surrogate within",
        with_raw("quote_of", b'{"post_id": ' + SURROGATE + b"}"),
        Reason.BAD_ENCODING,
        "quote_of.post_id",
    ),
    ("a lone surrogate as a key", RAW_GOOD[:-1] + b', "\\udfff": 1}', Reason.BAD_ENCODING, None),
    ("bytes that are not UTF-8", with_raw("parent_id", b'"\xff\xfe"'), Reason.BAD_ENCODING, "parent_id"),
    ("a surrogate written as bytes", with_raw("parent_id", b'"\xed\xa0\x80"'), Reason.BAD_ENCODING, "parent_id"),
    ("the year 0", raw(platform_at="0000-01-01T00:00:00Z"), Reason.BAD_TIME, "platform_at"),
    ("the year 9999", raw(platform_at="9999-12-31T23:59:59Z"), Reason.BAD_TIME, "platform_at"),
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
    ("a negative count", raw(kind="counters", counters={"likes": -1}), Reason.OUT_OF_RANGE, "counters.likes"),
    ("a count over 2^53", raw(kind="counters", counters={"likes": 2**53 + 1}), Reason.OUT_OF_RANGE, "counters.likes"),
    ("a count of 30 digits", raw(kind="counters", counters={"views": 10**30}), Reason.OUT_OF_RANGE, "counters.views"),
    (
        "a count of 5000 digits",
        with_raw("counters", b'{"views": %s}, "kind": "counters"' % (b"9" * 5000)),
        Reason.OUT_OF_RANGE,
        "counters.views",
    ),
    ("NaN", with_raw("counters", b'{"views": NaN}, "kind": "counters"'), Reason.WRONG_TYPE, "counters.views"),
    ("infinity", with_raw("counters", b'{"views": 1e999}, "kind": "counters"'), Reason.WRONG_TYPE, "counters.views"),
    ("a fraction", raw(kind="counters", counters={"views": 1.5}), Reason.WRONG_TYPE, "counters.views"),
    ("true as a count", raw(kind="counters", counters={"views": True}), Reason.WRONG_TYPE, "counters.views"),
    ("a digit string as a count", raw(kind="counters", counters={"views": "12"}), Reason.WRONG_TYPE, "counters.views"),
    ("an unknown kind", raw(kind="retweet"), Reason.BAD_VALUE, "kind"),
    ("a network in capitals", raw(network="X"), Reason.BAD_VALUE, "network"),
    ("a network of nothing", raw(network=""), Reason.BAD_VALUE, "network"),
    ("a number for a text", raw(text=7), Reason.WRONG_TYPE, "text"),
    ("late in words", raw(backfill="yes"), Reason.WRONG_TYPE, "backfill"),
    ("an empty date", raw(platform_at=""), Reason.BAD_TIME, "platform_at"),
    ("a leap second", raw(platform_at="2016-12-31T23:59:60Z"), Reason.BAD_TIME, "platform_at"),
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


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (raw(text="my bag\0 is lost"), "my bag is lost"),
        (with_raw("text", b'"my bag \\ud83d is lost"'), "my bag ? is lost"),
        (with_raw("text", b'"my bag \xff is lost"'), "my bag ? is lost"),
    ],
)
def test_what_a_post_says_is_not_lost_for_a_broken_character(body: bytes, text: str) -> None:
    (item,) = PARSER.items(body, ndjson=False)
    post = item.post if isinstance(item, Reduced) else item
    assert isinstance(post, PostIn)
    assert post.text == text


def test_an_empty_id_is_none() -> None:
    (item,) = PARSER.items(raw(parent_id="", root_id="", reply_to=""), ndjson=False)
    assert isinstance(item, PostIn)
    assert (item.parent_id, item.root_id, item.reply_to) == (None, None, None)


ODD_CLAIMS: list[tuple[str, bytes, set[Claim]]] = [
    ("the epoch", raw(created_at="1970-01-01T00:00:00Z"), {Claim.CREATED_AT}),
    ("no zone", raw(created_at="2026-05-01T12:00:00"), {Claim.CREATED_AT}),
    ("an empty date", raw(created_at=""), {Claim.CREATED_AT}),
    ("a leap second", raw(created_at="2016-12-31T23:59:60Z"), {Claim.CREATED_AT}),
    ("the year 9999", raw(created_at="9999-12-31T23:59:59-14:00"), {Claim.CREATED_AT}),
    ("milliseconds", raw(created_at=1777636800000), {Claim.CREATED_AT}),
    ("a date as networks had it", raw(created_at="Wed Oct 10 20:19:24 +0000 2018"), {Claim.CREATED_AT}),
    ("a list for a date", raw(created_at=["2026-05-01T12:00:00Z"]), {Claim.CREATED_AT}),
    ("an empty language", raw(language=""), {Claim.LANGUAGE}),
    ("a language in words", raw(language="klingon language"), {Claim.LANGUAGE}),
    ("a number for a language", raw(language=7), {Claim.LANGUAGE}),
    ("an object for a language", raw(language={"code": {"id": "en"}}), {Claim.LANGUAGE}),
    ("a language of 300 characters", raw(language="en" * 150), {Claim.LANGUAGE}),
    ("a language that is no text", with_raw("language", b'"\xff\xfe"'), {Claim.LANGUAGE}),
    ("a language of half a pair", with_raw("language", SURROGATE), {Claim.LANGUAGE}),
    ("a script as link", raw(permalink="javascript:alert(1)"), {Claim.PERMALINK}),
    ("a link with a user", raw(reply_link="https://bank.com@evil.example/"), {Claim.REPLY_LINK}),
    ("a link with a blank", raw(permalink="https://a.example/ b"), {Claim.PERMALINK}),
    ("a link too long", raw(permalink="https://a.example/" + "a" * 2000), {Claim.PERMALINK}),
    ("an author who is a name", raw(author="jane"), {Claim.AUTHOR}),
    ("an author without id", raw(author={"handle": "jane"}), {Claim.AUTHOR}),
    ("an author with a number", raw(author={"id": 4711}), {Claim.AUTHOR}),
    ("an author of half a pair", with_raw("author", b'{"id": ' + SURROGATE + b"}"), {Claim.AUTHOR}),
    ("fewer than no followers", raw(author={"id": "1", "followers": -1}), {Claim.AUTHOR_FOLLOWERS}),
    ("half a follower", raw(author={"id": "1", "followers": 0.5}), {Claim.AUTHOR_FOLLOWERS}),
    ("followers over 2^53", raw(author={"id": "1", "followers": 2**53 + 1}), {Claim.AUTHOR_FOLLOWERS}),
    (
        "followers of 5000 digits",
        with_raw("author", b'{"id": "1", "followers": %s}' % (b"9" * 5000)),
        {Claim.AUTHOR_FOLLOWERS},
    ),
    ("verified in words", raw(author={"id": "1", "verified": "yes"}), {Claim.AUTHOR_VERIFIED}),
    ("an empty handle", raw(author={"id": "1", "handle": ""}), {Claim.AUTHOR_HANDLE}),
    (
        "an account of the epoch",
        raw(author={"id": "1", "created_at": "1970-01-01T00:00:00Z"}),
        {Claim.AUTHOR_CREATED_AT},
    ),
    ("fewer than no likes", raw(counters={"likes": -1, "views": 3}), {Claim.COUNTERS_LIKES}),
    ("counters in words", raw(counters="many"), {Claim.COUNTERS}),
    (
        "all at once, unreadable ones too",
        with_raw("language", SURROGATE + b', "permalink": 1, "author": {"id": "1", "verified": 1, "followers": -1}'),
        {Claim.LANGUAGE, Claim.PERMALINK, Claim.AUTHOR_VERIFIED, Claim.AUTHOR_FOLLOWERS},
    ),
]


@pytest.mark.parametrize(("body", "claims"), [case[1:] for case in ODD_CLAIMS], ids=[case[0] for case in ODD_CLAIMS])
@pytest.mark.parametrize("form", ["array", "ndjson", "one"])
def test_a_post_is_read_without_the_claims_that_cannot_be(form: str, body: bytes, claims: set[Claim]) -> None:
    if form == "array":
        _, odd, _ = PARSER.items(b"[" + RAW_GOOD + b"," + body + b"," + RAW_GOOD + b"]", ndjson=False)
    elif form == "ndjson":
        _, odd, _ = PARSER.items(RAW_GOOD + b"\n" + body + b"\n" + RAW_GOOD, ndjson=True)
    else:
        (odd,) = PARSER.items(body, ndjson=False)
    assert isinstance(odd, Reduced)
    assert {claim.field for claim in odd.ignored} == claims
    assert all(claim.why for claim in odd.ignored)
    assert odd.post.text == "hello"
    for claim in claims:
        part: Any = odd.post
        for name in claim.value.split("."):
            part = getattr(part, name)
        assert part is None


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"language": 7, "post_id": ""}, Reason.BAD_VALUE, "post_id"),
        ({"author": {"id": 1, "age": 3}}, Reason.UNKNOWN_FIELD, "author.age"),
        ({"permalink": "javascript:1", "parnt_id": "1"}, Reason.UNKNOWN_FIELD, "parnt_id"),
        ({"kind": "counters", "language": 7, "counters": {"likes": -1}}, Reason.OUT_OF_RANGE, "counters.likes"),
        ({"created_at": "", "platform_at": ""}, Reason.BAD_TIME, "platform_at"),
    ],
)
def test_beside_odd_claims_what_matters_still_gets_its_error(fields: dict[str, Any], code: Reason, field: str) -> None:
    (odd,) = PARSER.items(raw(**fields), ndjson=False)
    assert isinstance(odd, ItemError)
    assert (odd.code, odd.field) == (code, field)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_byte_order_marks_are_read_over(encoding: str) -> None:
    def marked(text: str) -> bytes:
        return (codecs.BOM_UTF16_BE if encoding == "utf-16-be" else b"") + text.encode(encoding)

    one = json.dumps({**GOOD, "text": "Zürich \U0001f525"}, ensure_ascii=False)
    for body, ndjson in ((one, False), (f"[{one}]", False), (f"{one}\n", True)):
        (item,) = PARSER.items(marked(body), ndjson)
        assert isinstance(item, PostIn)
        assert item.text == "Zürich \U0001f525"


def test_a_mark_at_the_beginning_of_a_line_is_read_over() -> None:
    items = PARSER.items(
        b"\n".join([codecs.BOM_UTF8 + RAW_GOOD, codecs.BOM_UTF8, codecs.BOM_UTF8 + RAW_GOOD]), ndjson=True
    )
    assert [isinstance(item, PostIn) for item in items] == [True, True]


def test_utf_16_that_ends_within_a_character_is_malformed() -> None:
    with pytest.raises(Malformed, match="UTF-16"):
        PARSER.items(codecs.BOM_UTF16_LE + b"{", ndjson=False)


def test_half_a_pair_in_utf_16_is_named_like_any_other() -> None:
    body = codecs.BOM_UTF16_LE + json.dumps({**GOOD, "post_id": "\ud800"}, ensure_ascii=False).encode(
        "utf-16-le", "surrogatepass"
    )
    (odd,) = PARSER.items(body, ndjson=False)
    assert isinstance(odd, ItemError)
    assert (odd.code, odd.field) == (Reason.BAD_ENCODING, "post_id")


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
    (odd,) = PARSER.items(raw(parent_id="secret\n"), ndjson=False)
    assert isinstance(odd, ItemError)
    assert "secret" not in repr(odd)
    (odd,) = PARSER.items(raw(permalink="javascript:secret"), ndjson=False)
    assert isinstance(odd, Reduced)
    assert "secret" not in repr(odd)


def test_a_field_name_of_a_megabyte_does_not_come_back() -> None:
    (odd,) = PARSER.items(json.dumps({**GOOD, "\u0007" + "a" * 900_000: 1}).encode(), ndjson=False)
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
        (b"\xef\xbb\xbfnonsense", "line 1, column 1"),
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
