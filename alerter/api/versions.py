"""Which version of a thing somebody saw who changes it, and who they are: the same for everything that has versions."""

from __future__ import annotations

from typing import Annotated, Any, Final, NamedTuple

from fastapi import Header, Query

from alerter.api import schemas
from alerter.api.problems import Problem

MOST_TRIES: Final = 5
"""How often a change is checked again because somebody else changed something meanwhile."""
By = Annotated[
    schemas.Person | None, Query(description="who is doing this, as others will see it; the key's name without it")
]
IfMatch = Annotated[
    str | None,
    Header(
        alias="if-match",
        max_length=100,
        description='the version that you saw, such as `"3"`; where it is another one by now, the answer is 412',
    ),
]


class Change(NamedTuple):
    """Who changes something, and which version of it they saw; `None`: whichever there is."""

    by: str | None = None
    expected: int | None = None


def version_in(if_match: str | None) -> int | None:
    """Returns the version that the caller saw, or `None` for whichever there is. Raises `Problem` 422."""
    if if_match is None or if_match.strip() == "*":
        return None
    digits = if_match.strip().removeprefix("W/").strip('"')
    if digits.isascii() and digits.isdigit() and len(digits) < 10:
        return int(digits)
    why = 'must be a version such as "3"'
    raise Problem(422, f"If-Match {why}", errors=[{"at": "header.if-match", "why": why}])


def check_version(what: str, expected: int | None, version: int, current: dict[str, Any]) -> None:
    """Raises `Problem` 412, with what it is now, if that is another version than the caller saw."""
    if expected is not None and expected != version:
        why = f"{what} has version {version} by now, and you saw {expected}: look at it again"
        raise Problem(412, why, current=current)
