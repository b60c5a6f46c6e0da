"""Turns the bytes of a body into items. A bad item affects no other, and no input raises anything but `Malformed`.

The whole body is validated in one pass. Only if that fails is it cut into items, each of which is validated by itself. Pure;
the time it takes is bounded by the size of the body.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from typing import Annotated, Any, Final

from pydantic import FailFast, Field, TypeAdapter, ValidationError

from ingest.schemas import SAYS, ItemError, PostIn, Reason

Item = PostIn | ItemError

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
        if ndjson:
            return self._bounded(_of_lines(body))
        start = body.lstrip(BLANKS)[:1]
        if start == b"[":
            try:
                return [*self._many.validate_json(body)]
            except ValidationError:
                return self._bounded(_of_array(body))
        if start == b"{":
            return [_of_object(body)]
        if not start:
            raise Malformed("the body is empty: expected a post, an array of posts, or NDJSON")
        _parsed(body.decode("utf-8", "surrogateescape"))
        raise Malformed("expected a JSON object or an array of objects")

    def _bounded(self, items: Iterator[Item]) -> list[Item]:
        some: list[Item] = []
        for item in items:
            if len(some) == self._max:
                raise TooMany(f"more than {self._max} posts in one request")
            some.append(item)
        return some


def _of_object(body: bytes) -> Item:
    try:
        return PostIn.model_validate_json(body)
    except ValidationError as error:
        if not _is_json_trouble(error):
            return explain(error)
        try:
            return _unreadable(_parsed(body.decode("utf-8", "surrogateescape")), error)
        except RecursionError:
            return _TOO_DEEP


def _of_lines(body: bytes) -> Iterator[Item]:
    for number, line in enumerate(io.BytesIO(body), start=1):
        if not (line := line.strip(BLANKS)):
            continue
        try:
            yield PostIn.model_validate_json(line)
        except ValidationError as error:
            yield _explain_line(line, number, error) if _is_json_trouble(error) else explain(error)


def _explain_line(line: bytes, number: int, trouble: ValidationError) -> ItemError:
    try:
        return _unreadable(_load(line.decode("utf-8", "surrogateescape")), trouble)
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
            yield _judge(text[at:end], value)
            at = _skip(text, end)
            if text[at : at + 1] != ",":
                break
            at = _skip(text, at + 1)
        if text[at : at + 1] != "]":
            raise _malformed(json.JSONDecodeError("Expecting ',' or ']'", text, at))
        at += 1
    if _skip(text, at) != len(text):
        raise _malformed(json.JSONDecodeError("Extra data", text, _skip(text, at)))


_DEEP: Final = object()


def _next_value(text: str, at: int) -> tuple[Any, int]:
    try:
        return _DECODER.raw_decode(text, at)
    except RecursionError:
        return _DEEP, _end_of_nested(text, at)
    except json.JSONDecodeError as error:
        raise _malformed(error) from None


def _judge(piece: str, value: Any) -> Item:
    if value is _DEEP:
        return _TOO_DEEP
    try:
        return PostIn.model_validate_json(piece.encode("utf-8", "surrogateescape"))
    except ValidationError as error:
        return _unreadable(value, error) if _is_json_trouble(error) else explain(error)


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


def _is_json_trouble(error: ValidationError) -> bool:
    return error.errors(include_url=False, include_input=False, include_context=False)[0]["type"] == "json_invalid"


def _unreadable(value: Any, trouble: ValidationError) -> ItemError:
    """The error for JSON that the strict reader refused (`trouble`) and the lenient one read as `value`."""
    for path, part in _walk(value):
        field = _path(path) or None
        if part is _HUGE:
            return ItemError(Reason.OUT_OF_RANGE, field, "a number with too many digits")
        if isinstance(part, str) and not _encodes(part):
            return ItemError(Reason.BAD_ENCODING, field, "contains a lone surrogate or is not UTF-8")
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


def explain(error: ValidationError) -> ItemError:
    """The error of an item that does not fit its model."""
    details = error.errors(include_url=False, include_input=False)
    first = details[0]
    kind, more = first["type"], len(details) - 1
    message = first["msg"]
    if kind == "string_pattern_mismatch":
        message = SAYS[first["ctx"]["pattern"]]
    elif kind == "extra_forbidden":
        message = "there is no such field"
    elif kind == "missing":
        message = "this field is required"
    code = _CODES.get(kind) or (Reason.BAD_TIME if kind.startswith("date") else Reason.WRONG_TYPE)
    return ItemError(code, _path(first["loc"]) or None, message + (f" (and {more} more)" if more else ""))


def _path(place: tuple[str | int, ...]) -> str:
    whole = ".".join(str(part)[:FIELD_CHARS] for part in place)[:FIELD_CHARS]
    return "".join(c if c.isprintable() else "?" for c in whole)
