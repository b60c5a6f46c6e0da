"""A hostile body costs about what it takes to read it as JSON, and one item of it never costs much."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from ingest.parsing import MAX_ITEM_BYTES, Malformed, Parser
from ingest.schemas import CoverageIn, ItemError, PostIn, Reason
from ingest.strangers import without_strangers

PARSER = Parser(max_posts=1000)
MOST = 25
"""Times as long as Python takes to read the same JSON. It is 3 to 10; describing every error, it was 43 to 63."""
KEYS = b",".join(b'"k%d":1' % n for n in range(75_000))
GOOD = b'"network":"x","post_id":"1","kind":"original"'
SNAPSHOT = b'"network":"x","post_id":"1","kind":"counters"'
WRONG = b",".join([b'"!"'] * 200_000)

BODIES = {
    "unknown fields": b"{" + KEYS + b"}",
    "unknown fields in an array": b"[{" + KEYS + b"}]",
    "unknown fields of an author": b"{" + GOOD + b',"author":{"id":"1",' + KEYS + b"}}",
    "unknown fields of totals": b"{" + SNAPSHOT + b',"counters":{' + KEYS + b"}}",
    "unknown fields of a quoted post": b"{" + GOOD + b',"quote_of":{"post_id":"2",' + KEYS + b"}}",
    "wrong brands": b"{" + GOOD + b',"brands":[' + WRONG + b"]}",
    "wrong brands in an array": b"[{" + GOOD + b',"brands":[' + WRONG + b"]}]",
    "a text that is a list": b"{" + GOOD + b',"text":[' + WRONG + b"]}",
    "the same field again and again": b"{" + b",".join([GOOD] * 20_000) + b',"x":1}',
}


def seconds(work: Callable[[], object]) -> float:
    """The least processor time of three."""
    least = float("inf")
    for _ in range(3):
        began = time.process_time()
        work()
        least = min(least, time.process_time() - began)
    return least


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_what_is_wrong_is_said_once_and_costs_little_more_than_reading_it(body: bytes) -> None:
    (item,) = PARSER.items(body, ndjson=False)
    assert isinstance(item, ItemError)
    assert len(item.message) < 200
    plain = max(0.01, seconds(lambda: json.loads(body)))
    assert seconds(lambda: PARSER.items(body, ndjson=False)) < MOST * plain


@pytest.mark.parametrize("ndjson", [False, True])
def test_lines_of_unknown_fields_cost_little_more_than_reading_them(ndjson: bool) -> None:
    line = b"{" + KEYS[:5000].rpartition(b",")[0] + b"}"
    body = b"\n".join([line] * 200) if ndjson else b"[" + b",".join([line] * 200) + b"]"
    items = PARSER.items(body, ndjson)
    assert {item.code for item in items if isinstance(item, ItemError)} == {Reason.UNKNOWN_FIELD}
    plain = seconds(lambda: [json.loads(line) for _ in range(200)])
    assert seconds(lambda: PARSER.items(body, ndjson)) < MOST * plain


def test_the_error_names_the_first_unknown_field_and_counts_the_others() -> None:
    strange = {f"k{n}": n for n in range(1000)}
    fields = {"network": "x", "post_id": "1", "kind": "original"}
    (item,) = PARSER.items(json.dumps({**strange, **fields, "author": {"id": "1", **strange}}).encode(), ndjson=False)
    assert item == ItemError(Reason.UNKNOWN_FIELD, "k0", "there is no such field (and 1999 more)")
    (item,) = PARSER.items(json.dumps({**fields, "colour": "red"}).encode(), ndjson=False)
    assert item == ItemError(Reason.UNKNOWN_FIELD, "colour", "there is no such field")


def test_only_what_the_model_does_not_know_is_taken_out() -> None:
    value = {"network": "x", "a": 1, "b": 2, "author": {"id": "1", "c": 3, "d": 4}, "counters": [1], "e": 5}
    assert without_strangers(value, PostIn) == 3
    assert value == {"network": "x", "a": 1, "author": {"id": "1", "c": 3}, "counters": [1]}
    report = {"network": "x", "a": 1, "state": "gap", "b": 2}
    assert without_strangers(report, CoverageIn) == 1


@pytest.mark.parametrize("ndjson", [False, True])
def test_an_item_larger_than_any_post_is_not_read_and_loses_no_other(ndjson: bool) -> None:
    good = b"{" + GOOD + b',"text":"hello"}'
    giants = [
        b"{" + KEYS + b',"x":"' + b"a" * MAX_ITEM_BYTES + b'"}',
        b"{" + GOOD + b',"text":' + b"[" * MAX_ITEM_BYTES + b"]" * MAX_ITEM_BYTES + b"}",
        b'[{"}":"]' + b'\\"' * MAX_ITEM_BYTES + b'"}]',
    ]
    pieces = [good, giants[0], good, *giants[1:], good]
    items = PARSER.items(b"\n".join(pieces) if ndjson else b"[" + b", ".join(pieces) + b"]", ndjson)
    codes = [item.code if isinstance(item, ItemError) else None for item in items]
    assert codes == [None, Reason.TOO_LARGE, None, Reason.TOO_LARGE, Reason.TOO_LARGE, None]
    if not ndjson:
        (alone,) = PARSER.items(giants[0], ndjson=False)
        assert isinstance(alone, ItemError)
        assert alone.code is Reason.TOO_LARGE
        with pytest.raises(Malformed):
            PARSER.items(b"[" + giants[0][:-1], ndjson=False)
