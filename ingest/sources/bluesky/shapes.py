"""What Bluesky's servers send, as far as it is used: frames of Jetstream in both versions, records, and answers of the AppView.

Records are written by anybody's program and are checked by nobody: a field that is not what it should be counts as missing, and
the rest of the record is read. Sequences, times and keys of frames are the server's own; a frame without them is unreadable.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
from msgspec import Raw, Struct, field

POST: Final = "app.bsky.feed.post"
LIKE: Final = "app.bsky.feed.like"
REPOST: Final = "app.bsky.feed.repost"

NOTHING: Final = Raw()
"""No record."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UNREADABLE: Final = (msgspec.MsgspecError, RecursionError, UnicodeError, ValueError, OverflowError)


class FrameKind(StrEnum):
    """What a frame of Jetstream tells. `INFO` and `ERROR` are about the stream, all others about an account."""

    COMMIT = "commit"
    IDENTITY = "identity"
    ACCOUNT = "account"
    INFO = "info"
    ERROR = "error"
    OTHER = "other"


class Operation(StrEnum):
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


class SkyFrame(NamedTuple):
    """One frame, the same for both versions. `sequence` is 0 in version 1, which counts by time alone. `what` is the name of a
    notice or error, the handle of an identity, the status of an account that is not `active`."""

    kind: FrameKind
    did: str = ""
    sequence: int = 0
    at: datetime = _EPOCH
    operation: str = ""
    collection: str = ""
    key: str = ""
    record: Raw = NOTHING
    active: bool = True
    what: str = ""

    @property
    def uri(self) -> str:
        """The at-uri of the record that it is about."""
        return f"at://{self.did}/{self.collection}/{self.key}"


class _Account(Struct):
    active: bool = True
    status: str | None = None


class _Identity(Struct):
    handle: str | None = None


class _OldCommit(Struct):
    operation: str
    collection: str
    rkey: str
    record: Raw = NOTHING


class _OldFrame(Struct):
    did: str
    time_us: int
    kind: str
    commit: _OldCommit | None = None
    account: _Account | None = None
    identity: _Identity | None = None


class _Payload(Struct):
    type: str = field(name="$type")
    seq: int = 0
    did: str = ""
    time: str = ""
    witnessedAt: str | None = None  # noqa: N815 - the network's name
    operation: str = ""
    collection: str = ""
    rkey: str = ""
    record: Raw = NOTHING
    account: _Account | None = None
    identity: _Identity | None = None
    name: str = ""


class _NewFrame(Struct):
    type: str = field(name="$type")
    payload: _Payload | None = None
    error: str = ""
    message: str | None = None


_OLD: Final = msgspec.json.Decoder(_OldFrame)
_NEW: Final = msgspec.json.Decoder(_NewFrame)
_KINDS: Final = {kind.value: kind for kind in FrameKind}


def read_old_frame(data: bytes) -> SkyFrame | None:
    """A frame of version 1 (`/subscribe`); None if it cannot be read."""
    try:
        old = _OLD.decode(data)
        at = from_microseconds(old.time_us)
    except _UNREADABLE:
        return None
    kind = _KINDS.get(old.kind, FrameKind.OTHER)
    if old.commit is not None:
        one = old.commit
        return SkyFrame(kind, old.did, 0, at, one.operation, one.collection, one.rkey, one.record)
    return _about_account(SkyFrame(kind, old.did, 0, at), old.account, old.identity)


def read_new_frame(data: bytes) -> SkyFrame | None:
    """A frame of version 2 (`subscribeEvents`); None if it cannot be read."""
    try:
        new = _NEW.decode(data)
        if new.error:
            return SkyFrame(FrameKind.ERROR, what=new.error)
        one = new.payload
        if one is None:
            return None
        kind = _KINDS.get(one.type.rpartition("#")[2], FrameKind.OTHER)
        if kind is FrameKind.INFO:
            return SkyFrame(kind, what=one.name)
        at = datetime.fromisoformat(one.witnessedAt or one.time).astimezone(UTC)
    except _UNREADABLE:
        return None
    if kind is FrameKind.COMMIT:
        return SkyFrame(kind, one.did, one.seq, at, one.operation, one.collection, one.rkey, one.record)
    return _about_account(SkyFrame(kind, one.did, one.seq, at), one.account, one.identity)


def _about_account(frame: SkyFrame, account: _Account | None, identity: _Identity | None) -> SkyFrame:
    if account is not None:
        return frame._replace(active=account.active, what=account.status or "")
    return frame if identity is None else frame._replace(what=identity.handle or "")


def microseconds(moment: datetime) -> int:
    """Exactly, as Jetstream counts time."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def from_microseconds(count: int) -> datetime:
    return _EPOCH + timedelta(microseconds=count)


class StrongRef(Struct):
    """One record, named."""

    uri: str


class ReplyRef(Struct):
    root: StrongRef
    parent: StrongRef


class Feature(Struct):
    """What a stretch of a text stands for: an account (`did`), a link (`uri`) or a tag."""

    did: str | None = None
    uri: str | None = None
    tag: str | None = None


class Facet(Struct):
    features: list[Feature] = []


class Card(Struct):
    """A link as it is shown under a post."""

    uri: str = ""
    title: str = ""
    description: str = ""


class Picture(Struct):
    alt: str = ""


class Embed(Struct):
    """What hangs on a post: a quoted record, a link's card, pictures; `media` beside a quote."""

    record: Any = None
    external: Card | None = None
    images: list[Picture] = []
    media: Embed | None = None
    alt: str = ""

    @property
    def quoted(self) -> str | None:
        """The at-uri that is quoted. Beside media it lies one level deeper."""
        inner = self.record
        if isinstance(inner, dict) and isinstance(inner.get("record"), dict):
            inner = inner["record"]
        uri = inner.get("uri") if isinstance(inner, dict) else None
        return uri if isinstance(uri, str) else None


class PostRecord(Struct):
    """`app.bsky.feed.post`."""

    text: str = ""
    createdAt: str | None = None  # noqa: N815 - the network's name
    langs: list[str] = []
    tags: list[str] = []
    reply: ReplyRef | None = None
    facets: list[Facet] = []
    embed: Embed | None = None


class SubjectRecord(Struct):
    """A like or a repost."""

    subject: StrongRef | None = None
    createdAt: str | None = None  # noqa: N815 - the network's name


class ProfileView(Struct):
    """An account, as the AppView shows it."""

    did: str
    handle: str | None = None
    followersCount: int | None = None  # noqa: N815 - the network's name
    createdAt: str | None = None  # noqa: N815 - the network's name


class PostView(Struct):
    """A post with its counters, as the AppView shows it."""

    uri: str
    author: ProfileView
    record: Raw
    indexedAt: str | None = None  # noqa: N815 - the network's name
    likeCount: int | None = None  # noqa: N815 - the network's name
    repostCount: int | None = None  # noqa: N815 - the network's name
    replyCount: int | None = None  # noqa: N815 - the network's name
    quoteCount: int | None = None  # noqa: N815 - the network's name


Shape = TypeVar("Shape", bound=Struct)


def read(data: Raw | bytes, shape: type[Shape]) -> Shape | None:
    """What was sent, in this shape: fields that do not fit are left out. None if nothing of it can be read."""
    try:
        try:
            return msgspec.json.decode(data, type=shape)
        except msgspec.ValidationError:
            return fitting(msgspec.json.decode(data), shape)
    except _UNREADABLE:
        return None


def fitting(value: Any, shape: type[Shape]) -> Shape | None:
    """The same of what was decoded already."""
    if not isinstance(value, dict):
        return None
    kept = {}
    for one in msgspec.structs.fields(shape):
        if one.encode_name in value:
            try:
                kept[one.name] = msgspec.convert(value[one.encode_name], one.type)
            except msgspec.ValidationError:
                continue
    try:
        return shape(**kept)
    except TypeError:  # what it cannot be without is missing
        return None
