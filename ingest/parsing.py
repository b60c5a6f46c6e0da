"""Turns the bytes of a body into items. A bad item affects no other, and no input raises anything but `Malformed`.

The whole body is validated in one pass. Only if that fails is it cut into items, each of which is validated by itself; an item
in which only claims cannot be read is read without them (`claims`). Pure; the time it takes is bounded by the size of the body.

Byte-order marks are read over. A body that begins with the mark of UTF-16 is read as UTF-16, in which some systems write files
unless they are told otherwise.
"""

from __future__ import annotations

import codecs
import io
import json
import re
from collections.abc import Iterator
from typing import Annotated, Any, Final

from pydantic import FailFast, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from ingest.claims import Claim, Ignored, Reduced, claim_at, without
from ingest.schemas import SAYS, ItemError, PostIn, Reason
from ingest.strangers import without_strangers

Item = PostIn | Reduced | ItemError

MAX_ITEM_BYTES: Final = 1_000_000
"""The longest text, every character escaped, takes a quarter of it. A larger item is not even parsed: both readers hold
everything else up until they are through with it."""
BLANKS: Final = b" \t\r\n"
FIELD_CHARS: Final = 100
"""Field names in errors are cut to this length: they come from the client, and may be a megabyte long."""

_CODES: Final = {
    "missing": Reason.MISSING,
    "extra_forbidden": Reason.UNKNOWN_FIELD,
    "string_too_long": Reason.TOO_LONG,
    "too_long": Reason.TOO_LONG,
    "string_too_short": Reason.BAD_VALUE,
    "string_pattern_mismatch": Reason.BAD_VALUE,
    "enum": Reason.BAD_VALUE,
    "greater_than_equal": Reason.OUT_OF_RANGE,
    "less_than_equal": Reason.OUT_OF_RANGE,
    "moment_year": Reason.BAD_TIME,
    "moment_format": Reason.BAD_TIME,
    "timezone_aware": Reason.BAD_TIME,
}
_HUGE: Final = object()
"""Stands for an integer with more than `_MAX_DIGITS` digits."""
_MAX_DIGITS: Final = 20
_STEPS: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[{]+|[\]}]+', re.DOTALL)


class Malformed(Exception):
    """The body as a whole cannot be read as items."""


class TooMany(Malformed):
    """More items than one request may carry."""


class Parser:
    """Reads bodies of at most `max_posts` items."""

    def __init__(self, max_posts: int) -> None:
        self._max = max_posts
        self._many: TypeAdapter[list[PostIn]] = TypeAdapter(
            Annotated[list[PostIn], FailFast(), Field(max_length=max_posts)]
        )

    def items(self, body: bytes, ndjson: bool) -> list[Item]:
        """The items of the body in order: each a post, or the error that says what is wrong with it.

        Raises `Malformed` if the body is not JSON, and `TooMany` if it has more items than one request may carry.
        """
        body = _in_utf8(body)
        if ndjson:
            return self._bounded(_of_lines(body))
        start = body.lstrip(BLANKS)[:1]
        if start == b"[":
            try:
                return [*self._many.validate_json(body)] if len(body) <= MAX_ITEM_BYTES else self._cut(body)
            except ValidationError:
                return self._cut(body)
        if start == b"{":
            return [_of_object(body) if len(body) <= MAX_ITEM_BYTES else _TOO_LARGE]
        if not start:
            raise Malformed("the body is empty: expected a post, an array of posts, or NDJSON")
        _parsed(body.decode("utf-8", "surrogateescape"))
        raise Malformed("expected a JSON object or an array of objects")

    def _cut(self, body: bytes) -> list[Item]:
        return self._bounded(_of_array(body))

    def _bounded(self, items: Iterator[Item]) -> list[Item]:
        some: list[Item] = []
        for item in items:
            if len(some) == self._max:
                raise TooMany(f"more than {self._max} posts in one request")
            some.append(item)
        return some


def _in_utf8(body: bytes) -> bytes:
    """The body in UTF-8 and without a byte-order mark. Raises `Malformed` if it is UTF-16 that ends within a character."""
    if body.startswith(codecs.BOM_UTF8):
        return body[len(codecs.BOM_UTF8) :]
    if not body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or len(body) == len(codecs.BOM_UTF16_LE):
        return body
    try:
        return body.decode("utf-16", "surrogatepass").encode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        raise Malformed("not JSON: line 1, column 1: UTF-16 that ends within a character") from None


def _of_object(body: bytes) -> Item:
    try:
        return PostIn.model_validate_json(body)
    except ValidationError as error:
        try:
            return _without_claims(_parsed(body.decode("utf-8", "surrogateescape")), error)
        except RecursionError:
            return _TOO_DEEP


def _of_lines(body: bytes) -> Iterator[Item]:
    for number, line in enumerate(io.BytesIO(body), start=1):
        # Files that were joined have a mark at the beginning of each.
        if not (line := line.removeprefix(codecs.BOM_UTF8).strip(BLANKS)):
            continue
        if len(line) > MAX_ITEM_BYTES:
            yield _TOO_LARGE
            continue
        try:
            yield PostIn.model_validate_json(line)
        except ValidationError as error:
            yield _line_without_claims(line, number, error)


def _line_without_claims(line: bytes, number: int, trouble: ValidationError) -> Item:
    try:
        return _without_claims(_load(line.decode("utf-8", "surrogateescape")), trouble)
    except RecursionError:
        return _TOO_DEEP
    except json.JSONDecodeError as error:
        return ItemError(Reason.NOT_JSON, None, f"line {number}, column {error.colno}: {error.msg}")


def _of_array(body: bytes) -> Iterator[Item]:
    """Cut the array into items, and validate each by itself."""
    text = body.decode("utf-8", "surrogateescape")
    at = _skip(text, _skip(text, 0) + 1)
    if text[at : at + 1] == "]":
        at += 1
    else:
        while True:
            value, end = _next_value(text, at)
            yield value if value is _TOO_DEEP or value is _TOO_LARGE else _judge(text[at:end], value)
            at = _skip(text, end)
            if text[at : at + 1] != ",":
                break
            at = _skip(text, at + 1)
        if text[at : at + 1] != "]":
            raise _malformed(json.JSONDecodeError("Expecting ',' or ']'", text, at))
        at += 1
    if _skip(text, at) != len(text):
        raise _malformed(json.JSONDecodeError("Extra data", text, _skip(text, at)))


def _next_value(text: str, at: int) -> tuple[Any, int]:
    """The value that begins at `at`, or the error that stands for it; and where it ends."""
    try:
        if (
            len(text) - at > MAX_ITEM_BYTES
            and text[at] in "[{"
            and (end := _end_of_nested(text, at)) > at + MAX_ITEM_BYTES
        ):
            return _TOO_LARGE, end
        return _DECODER.raw_decode(text, at)
    except RecursionError:
        return _TOO_DEEP, _end_of_nested(text, at)
    except json.JSONDecodeError as error:
        raise _malformed(error) from None


def _judge(piece: str, value: Any) -> Item:
    try:
        return PostIn.model_validate_json(piece.encode("utf-8", "surrogateescape"))
    except ValidationError as error:
        try:
            return _without_claims(value, error)
        except RecursionError:
            return _TOO_DEEP


def _end_of_nested(text: str, at: int) -> int:
    """Where the array or object that begins at `at` ends, found without recursion. Raises `Malformed` if it does not end."""
    depth = 0
    for step in _STEPS.finditer(text, at):
        mark = step[0]
        if mark[0] in "[{":
            depth += len(mark)
        elif mark[0] in "]}":
            if depth <= len(mark):
                return step.start() + depth
            depth -= len(mark)
    raise _malformed(json.JSONDecodeError("Unclosed value", text, at))


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


def _parsed(text: str) -> Any:
    try:
        return _load(text)
    except json.JSONDecodeError as error:
        hint = "; send NDJSON as application/x-ndjson" if error.msg == "Extra data" else ""
        raise _malformed(error, hint) from None


def _malformed(error: json.JSONDecodeError, hint: str = "") -> Malformed:
    return Malformed(f"not JSON: line {error.lineno}, column {error.colno}: {error.msg}{hint}")


def _whole(digits: str) -> Any:
    return int(digits) if len(digits) <= _MAX_DIGITS else _HUGE


_DECODER: Final = json.JSONDecoder(parse_int=_whole)
_load: Final = _DECODER.decode
_TOO_DEEP: Final = ItemError(Reason.NESTED_TOO_DEEPLY, None, "nested too deeply")
_TOO_LARGE: Final = ItemError(Reason.TOO_LARGE, None, f"more than {MAX_ITEM_BYTES} bytes in one post")


def _is_json_trouble(error: ValidationError) -> bool:
    # The only error then: whoever asks for the first one gets them all described.
    return (
        error.error_count() == 1 and error.errors(include_url=False, include_input=False)[0]["type"] == "json_invalid"
    )


def _without_claims(value: Any, trouble: ValidationError) -> Item:
    """The post without the claims that cannot be read, or the error if anything else cannot.

    `value` is what the lenient reader made of what the strict one refused (`trouble`). Both name all that they find, so
    that two rounds are enough: what cannot be read at all hides what is of a wrong form.
    """
    if not isinstance(value, dict):
        return _unreadable(value, trouble) if _is_json_trouble(trouble) else explain(trouble)
    dropped: dict[Claim, str] = {}
    mended, strangers = _mend_text(value), without_strangers(value, PostIn)
    if strangers:
        checked = _checked(value)
        trouble = checked if isinstance(checked, ValidationError) else trouble
    for _ in range(2):
        found = _unreadable_claims(value) if _is_json_trouble(trouble) else _wrong_claims(value, trouble)
        if not found and not mended:
            break
        mended = False
        for claim, why in found:
            dropped.setdefault(claim, why)
            without(value, claim)
        checked = _checked(value)
        if isinstance(checked, PostIn):
            return Reduced(checked, tuple(Ignored(claim, why) for claim, why in dropped.items()))
        trouble = checked
    return _unreadable(value, trouble) if _is_json_trouble(trouble) else explain(trouble, value, strangers)


def _checked(value: dict[str, Any]) -> PostIn | ValidationError:
    try:
        return PostIn.model_validate_json(json.dumps(value, default=str).encode())
    except ValidationError as error:
        return error


def _mend_text(value: dict[str, Any]) -> bool:
    """What a post says is not lost for half a character: a question mark takes its place. Returns True if there were any."""
    text = value.get("text")
    if not isinstance(text, str) or _encodes(text):
        return False
    value["text"] = text.encode("utf-8", "replace").decode()
    return True


def _unreadable_claims(value: dict[str, Any]) -> list[tuple[Claim, str]]:
    """The claims that the strict reader cannot read at all; nothing if something else is among what it cannot read."""
    found: list[tuple[Claim, str]] = []
    for path, part in _walk(value):
        why = _why_unreadable(part)
        if why is not None:
            claim = claim_at(path, value)
            if claim is None:
                return []
            found.append((claim, why[1]))
    return found


def _wrong_claims(value: dict[str, Any], trouble: ValidationError) -> list[tuple[Claim, str]]:
    """The claims that are of a wrong form; nothing if something else is, or if one holds a field that there is not."""
    found: list[tuple[Claim, str]] = []
    for detail in trouble.errors(include_url=False, include_input=False):
        claim = claim_at(detail["loc"], value)
        if claim is None or not _is_wrong_claim(detail, value):
            return []
        found.append((claim, _says(detail)))
    return found


def _is_wrong_claim(detail: ErrorDetails, value: dict[str, Any]) -> bool:
    """Returns True if what is wrong is a claim's form. A field that there is not may be a misspelled one that matters."""
    return detail["type"] != "extra_forbidden" and claim_at(detail["loc"], value) is not None


def _why_unreadable(part: Any) -> tuple[Reason, str] | None:
    """Why the strict reader cannot read this scalar or key; `None` if it can."""
    if part is _HUGE:
        return Reason.OUT_OF_RANGE, "a number with too many digits"
    if isinstance(part, str) and not _encodes(part):
        return Reason.BAD_ENCODING, "contains a lone surrogate or is not UTF-8"
    return None


def _unreadable(value: Any, trouble: ValidationError) -> ItemError:
    """The error for JSON that the strict reader refused (`trouble`) and the lenient one read as `value`."""
    for path, part in _walk(value):
        why = _why_unreadable(part)
        if why is not None and not (isinstance(value, dict) and claim_at(path, value)):
            return ItemError(why[0], _path(path) or None, why[1])
    message = trouble.errors(include_url=False, include_input=False)[0]["msg"]
    return _TOO_DEEP if "recursion" in message else ItemError(Reason.NOT_JSON, None, message)


def _walk(value: Any) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Yields every scalar with its path, without recursion, and every key with the path of its object."""
    left: list[tuple[tuple[str | int, ...], Any]] = [((), value)]
    while left:
        path, part = left.pop()
        if len(path) > 20:  # nobody reads such a path, and its copies would take time with the square of the depth
            continue
        if isinstance(part, dict):
            for key, inner in part.items():
                yield path, key
                left.append(((*path, key), inner))
        elif isinstance(part, list):
            left.extend(((*path, index), inner) for index, inner in enumerate(part))
        else:
            yield path, part


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def explain(error: ValidationError, value: Any = None, besides: int = 0) -> ItemError:
    """The error for the first field that is wrong; a claim in the item `value` is none where anything else is. `besides` is
    how many were taken out before (`without_strangers`)."""
    details = error.errors(include_url=False, include_input=False)
    if isinstance(value, dict):
        details = [detail for detail in details if not _is_wrong_claim(detail, value)] or details
    first = details[0]
    kind, more = first["type"], len(details) - 1 + besides
    code = _CODES.get(kind) or (Reason.BAD_TIME if kind.startswith("date") else Reason.WRONG_TYPE)
    return ItemError(code, _path(first["loc"]) or None, _says(first) + (f" (and {more} more)" if more else ""))


def _says(detail: ErrorDetails) -> str:
    """What is wrong with one field."""
    kind = detail["type"]
    if kind == "string_pattern_mismatch":
        return SAYS[detail["ctx"]["pattern"]]
    if kind == "extra_forbidden":
        return "there is no such field"
    return "this field is required" if kind == "missing" else detail["msg"]


def _path(place: tuple[str | int, ...]) -> str:
    whole = ".".join(str(part)[:FIELD_CHARS] for part in place)[:FIELD_CHARS]
    return "".join(c if c.isprintable() else "?" for c in whole)
