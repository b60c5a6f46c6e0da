"""Builds items as `POST /v1/posts` takes them from what networks write. Pure.

Networks write the same thing in many ways: an id as a number or a text, a time in seconds, milliseconds or words. What cannot
be read is left out where a post can do without it, because a complaint is not lost for its decoration; `needed` says of the
rest what is missing, and where.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from ingest.normalize import AHEAD
from ingest.schemas import FIRST_YEAR, LAST_YEAR, MAX_ID_CHARS
from services.config.model import Brand
from services.contracts.post import AuthorState, PostKind

TEXT_CHARS: Final = 20_000
"""A longer text is cut: what it complains of stands at its beginning, and ingest would refuse the whole post."""
MILLISECONDS_FROM: Final = 10**11
"""A time in seconds reaches this number in the year 5138: what is higher is in milliseconds."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Item = dict[str, Any]


class LeftOut(StrEnum):
    """Why something that a network told is not stored: a label of metrics, and what a page about the source shows."""

    PRIVATE = "private"
    """A message between two people, or a note that only colleagues read."""
    REACTION = "reaction"
    """Somebody pressed a button. No network tells the total with it, and a single one has neither words nor reach."""
    STATISTICS = "statistics"
    NAMES_NO_POST = "names_no_post"
    SAYS_NOTHING = "says_nothing"
    """An edit that tells no text: which of the words changed is not known."""
    UNPUBLISHED = "unpublished"
    NOT_HEARD = "not_heard"
    """An event, field or verb that says nothing about a post."""
    BY_MACHINE = "by_machine"
    OUR_OWN = "our_own"
    """A ticket that Firebreak opened about an incident: heard, it would feed the incident that it is about."""
    SAID_BEFORE = "said_before"
    CONDITION = "condition"
    """The operator's condition does not hold for it."""
    UNREADABLE = "unreadable"


@dataclass(slots=True)
class Understood:
    """What a request said: items in the order of the request, authors, and how much was left out on purpose, by reason."""

    items: list[Item] = field(default_factory=list)
    authors: list[Item] = field(default_factory=list)
    left_out: Counter[LeftOut] = field(default_factory=Counter)

    def leave_out(self, why: LeftOut, count: int = 1) -> None:
        self.left_out[why] += count


def each(parts: Sequence[Any], read: Callable[[Any, Understood], None]) -> Understood:
    """Reads parts of a request that say something each by itself: one that cannot be read does not keep the others from
    being heard, it is counted as `unreadable`. Raises the first `ValueError` if none can be read."""
    found = Understood()
    first: ValueError | None = None
    for part in parts:
        try:
            read(part, found)
        except ValueError as error:
            found.leave_out(LeftOut.UNREADABLE)
            first = first or error
    if first is not None and found.left_out[LeftOut.UNREADABLE] == len(parts):
        raise first
    return found


def post(network: str, kind: PostKind, post_id: str | None, **fields: Any) -> Item:
    """An item of this kind, without the fields that nothing is known of."""
    item = {"network": network, "kind": kind.value, "post_id": needed(post_id, "the id of the post")}
    return item | {name: value for name, value in fields.items() if value not in (None, (), [])}


def author(id_: str | None, handle: str | None = None, **fields: Any) -> Item | None:
    """The author of an item; `None` if the network does not say who it was."""
    if id_ is None:
        return None
    known = {"id": id_, "handle": handle, **fields}
    return {name: value for name, value in known.items() if value is not None}


def changed_author(network: str, author_id: str, state: AuthorState, at: str | None) -> Item:
    """What `POST /v1/authors` takes of an author who is gone with all that they wrote, or is back."""
    change = {"network": network, "author_id": author_id, "state": state.value}
    return change if at is None else change | {"at": at}


def needed(value: str | None, what: str) -> str:
    """The value. Raises `ValueError` with `what` is missing."""
    if value is None:
        raise ValueError(f"{what} is missing, or is neither a text nor a number")
    return value


def identifier(value: Any) -> str | None:
    """An id, which networks write as text or number; `None` if it is none."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**MAX_ID_CHARS:
        return str(value)
    return value if isinstance(value, str) and 0 < len(value) <= MAX_ID_CHARS else None


def words(value: Any) -> str | None:
    """A text, cut to what is taken; `None` if there is none."""
    return value[:TEXT_CHARS] if isinstance(value, str) and value.strip() else None


def moment(value: Any, now: datetime) -> str | None:
    """A time as items write it; `None` if it cannot be read, or lies so far ahead that ingest would refuse the post: a network
    whose clock is wrong must not keep a complaint from being heard."""
    at = instant(value)
    return at.isoformat() if at is not None and at <= now + AHEAD else None


def instant(value: Any) -> datetime | None:
    """A time as networks write it: seconds or milliseconds since 1970, or ISO 8601 with a zone; `None` if it is none."""
    try:
        if isinstance(value, str):
            number = len(value) <= 20 and value.replace(".", "", 1).isdecimal()
            value = float(value) if number else datetime.fromisoformat(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            seconds = value / 1000 if abs(value) >= MILLISECONDS_FROM else value
            value = _EPOCH + timedelta(seconds=seconds)
        if not isinstance(value, datetime) or value.tzinfo is None:
            return None
        at = value.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return at if FIRST_YEAR <= at.year <= LAST_YEAR else None


class Owners:
    """Whose the accounts are that a connector is called for: by the network's id, or by the handle in the configuration."""

    def __init__(self, network: str, brands: Sequence[Brand], handles: Mapping[str, str], chosen: bool) -> None:
        """`handles` are handles by the network's ids; `chosen` says that the operator named these brands for the connector, so
        that they count where no brand has the account."""
        self._handles = {id_: handle.removeprefix("@") for id_, handle in handles.items()}
        self._brands: dict[str, list[str]] = {}
        self._else = tuple(brand.id for brand in brands) if chosen else ()
        for brand in brands:
            for account in brand.accounts:
                if account.network == network:
                    self._brands.setdefault(account.handle.removeprefix("@").lower(), []).append(brand.id)

    def handle(self, id_: str | None) -> str | None:
        """The handle of one of our own accounts with this id; `None` for everybody else."""
        if id_ is None:
            return None
        return self._handles.get(id_) or (id_ if id_.lower() in self._brands else None)

    def brands(self, id_: str | None) -> tuple[str, ...]:
        """The brands whose account this is."""
        handle = self.handle(id_)
        return tuple(self._brands.get((handle or "").lower(), ())) or self._else

    @property
    def only(self) -> str | None:
        """The handle of the brands' account on this network, if there is one alone."""
        return next(iter(self._brands)) if len(self._brands) == 1 else None
