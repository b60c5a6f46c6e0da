"""Reads the body of a call into the network's shapes. Whatever is wrong with it is a `ValueError` that says what and where."""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec

MOST_PARTS: Final = 2000
"""So many posts are taken from one request: networks send a few, and all of them go to the log in one append."""

Shape = TypeVar("Shape")


class TooManyParts(ValueError):
    """More in one request than is taken at once."""


def read(body: bytes | str | msgspec.Raw, shape: type[Shape], what: str = "the body") -> Shape:
    """The JSON in `body` as `shape`. Raises `ValueError`."""
    if not len(body if not isinstance(body, msgspec.Raw) else bytes(body)):
        raise ValueError(f"{what} is empty: expected JSON")
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as error:
        raise ValueError(f"{what}: {error}") from None
    except RecursionError:
        raise ValueError(f"{what} is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"{what} is not JSON: {error}") from None


def bounded(parts: list[Any]) -> list[Any]:
    """The same list. Raises `TooManyParts` if it is longer than is taken at once."""
    if len(parts) > MOST_PARTS:
        raise TooManyParts(f"{len(parts)} entries in one request; {MOST_PARTS} are taken at once")
    return parts
