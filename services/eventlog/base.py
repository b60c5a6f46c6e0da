"""What the event log promises. One suite, `tests/contract/eventlog`, holds both backends to it.

1. *Append* returns when the records survive a crash of process and host. A message with an id that was appended before
   may be stored again; readers drop it within a bounded window. Exactly once is meant by offset, across crashes.
2. Within a partition records are read in append order. Offsets grow, with gaps.
3. A partition of a group has at most one *owner*. Ownership carries an epoch; whatever an older epoch tries raises
   `Fenced` and has no effect.
4. A *transaction* holds appends, state changes and one progress record (`next`) of **one** input partition: committed
   readers of each partition see all of it or nothing; across partitions they may see its parts in any order.
5. Offsets mean "next to read". A batch knows what it may commit (`Batch.next`); committing backwards raises `ValueError`.
6. Reading never waits longer than asked, returns an empty batch otherwise, may be stopped between calls, and is never
   cancelled by us.
7. Revocation announces one deadline that all its steps share: work committed before it counts, work after is refused.
8. *Acquire* restores the committed state of a partition and its `next`, or raises; never half. The position is the
   progress record, never the entries and never the group's reported offset, which only feeds lag tools. A position below
   the log's start is a stated `Gap`, found before the first read; one that was said of another log (restored, made anew) is
   stated as `moved_from`, and reading goes on behind the last record that was dealt with, by time. Never silently moved.
9. Close is idempotent and bounded; after it every call raises `Closed`.
10. Where a backend keeps a promise less than fully, its `log` module opens with saying so.
11. The log's own long tasks (a member's lease or reader, the search for a lost cluster) belong to whoever opened the log.
   A process hands in its `Tasks.spawn` at `start`: a task of the log that fails, or ends before it was asked to, stops the
   process with that reason. From that moment its member holds nothing: `assigned` is empty, and owners refuse to commit.

Kept small on purpose: `append` for those who only write (ingest, the alerter's outlet), `join`/`acquire`/`read`/`commit`
for those who read, think and commit (the scorer), `seek`/`report` for those who keep their progress elsewhere (the alerter,
in its database).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from services.base.errors import FirebreakError, Transient
from services.base.tasks import Spawn, spawn_alone


class LogError(FirebreakError):
    """The log refused, or failed."""


class Fenced(LogError):
    """This owner's epoch is over, or its transaction was ended from outside; nothing that it had begun took effect.
    It does not mean that the partition belongs to another member: ask the membership, and acquire again."""


class Uncertain(LogError):
    """A commit got no clear answer and may have taken effect. Only acquiring again tells."""


class Unavailable(LogError, Transient):
    """The log cannot be reached right now."""


class TooLarge(LogError):
    """A message is over the limit. Found before anything is sent; nothing was appended."""


class NotAssigned(LogError):
    """The partition is not (or no longer) this member's."""


class Closed(LogError):
    """The log, the membership or the owner was closed."""


class Message(NamedTuple):
    """Something to append. Without `partition`, the key's hash chooses one; equal keys always the same one."""

    topic: str
    key: str
    value: bytes | None
    partition: int | None = None


class Record(NamedTuple):
    """Something that was appended. `appended_ms` is the log's clock, in milliseconds since 1970."""

    topic: str
    partition: int
    offset: int
    key: str
    value: bytes | None
    appended_ms: int


class Batch(NamedTuple):
    """Records of one partition in order, and the offset that follows them. Empty: nothing came in time."""

    records: Sequence[Record]
    next: int


@dataclass(frozen=True, slots=True)
class Transaction:
    """What one step does, all or nothing. In `changes`, `None` deletes a key (a tombstone)."""

    next: int
    appends: Sequence[Message] = ()
    changes: Mapping[str, bytes | None] = field(default_factory=dict)


class Gap(NamedTuple):
    """Records from `position` to before `start` were deleted by retention before they were read."""

    position: int
    start: int


@dataclass(frozen=True, slots=True)
class Restored:
    """The committed state of one input partition. `next` is where reading goes on.

    `moved_from` is the position that was committed, where that was said of another log than the one that is there.
    """

    entries: Mapping[str, bytes]
    next: int
    gap: Gap | None = None
    moved_from: int | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Who reads: members of one group share the partitions of `topic`.

    With a `changelog`, state and progress live in the log and move with `Owner.commit`. Without, the reader keeps its
    progress elsewhere and begins with `Owner.seek`.
    """

    name: str
    topic: str
    changelog: str | None = None
    instance: str | None = None
    """A stable, unique name of this member where there is one: a restart under it costs no rebalance."""


class Listener(Protocol):
    """Is told what this member owns. Both calls come from a task of the log."""

    def assigned(self, partitions: frozenset[int]) -> None:
        """These are ours now. Must return at once: acquire elsewhere."""

    async def revoked(self, partitions: frozenset[int], deadline: float) -> None:
        """These end at `deadline` (`loop.time()`). Return when nothing will be committed for them any more."""


class Owner(Protocol):
    """One acquired partition. One user at a time; only `behind` may be called beside another call."""

    @property
    def partition(self) -> int: ...

    @property
    def epoch(self) -> int: ...

    @property
    def restored(self) -> Restored:
        """As of the acquisition. A group without a changelog starts at the log's start until `seek`."""

    async def read(self, max_records: int, timeout: float) -> Batch:
        """Up to `max_records` committed records from the position on; waits at most `timeout` seconds.

        Raises `Closed`, `NotAssigned`, `Unavailable`; `Fenced` where retention overtook the reader (acquiring again
        states the gap).
        """

    async def commit(self, transaction: Transaction) -> None:
        """Make all of it take effect, durably. Crash seams, in this order: `tx.begun`, `tx.outputs`, `tx.state`,
        `tx.progress`, `tx.committing`, `tx.committed`.

        Raises:
            TooLarge: nothing was sent; the owner stays usable.
            ValueError: `next` is below what is committed, or the group has no changelog; nothing was sent.
            Fenced, Uncertain, Unavailable, NotAssigned: this owner is spent; acquire again.
        """

    async def seek(self, position: int) -> Gap | None:
        """Go on reading at `position`. Returns the gap if that is below the log's start, where reading then begins."""

    def report(self, position: int) -> None:
        """Tell lag tools how far this owner is. The log passes it on now and then, and it may get lost."""

    async def behind(self) -> int:
        """Returns how many records are left to read at most, those not settled yet included. Zero is exact. May be called
        beside a read. Raises `Unavailable` when the log is away."""

    async def close(self) -> None:
        """Give the partition's resources back. Idempotent, bounded."""


class Membership(Protocol):
    """One member of a group."""

    @property
    def assigned(self) -> frozenset[int]:
        """The partitions that may be acquired now. Empty once a task that keeps this membership alive has ended."""

    async def acquire(self, partition: int) -> Owner:
        """Become the one owner: end whatever an older one left open, then restore up to the last commit.

        Raises `NotAssigned`, `Fenced`, `Unavailable`, or `Damaged` where the state cannot be read.
        """

    async def leave(self, deadline: float) -> None:
        """Revoke everything (the listener is told), then leave. Idempotent; returns by `deadline` (`loop.time()`)."""


class EventLog(Protocol):
    async def start(self, spawn: Spawn = spawn_alone) -> None:
        """Connect, and create or check the topics. The log starts all its long tasks with `spawn`, now and later.

        Raises `Unavailable`; it may then be called again.
        """

    async def verify_topics(self) -> list[str]:
        """What differs from the table of topics, in words for people; empty when all is well. Changes nothing.

        Raises `Unavailable`, `Closed`.
        """

    async def append(self, messages: Sequence[Message]) -> None:
        """Durable when it returns. Not a transaction: on an error, some may have been stored.

        Raises `TooLarge` and `LogError` for an unknown topic (both found before anything is sent), `Unavailable`, `Closed`.
        """

    async def join(self, group: Group, listener: Listener) -> Membership: ...

    async def read(self, topic: str, partition: int, offset: int, max_records: int) -> Batch:
        """Committed records without a group, for tools and tests. Returns at once."""

    async def bounds(self, topic: str) -> Mapping[int, tuple[int, int]]:
        """Partition -> (first offset kept, next offset of a committed reader)."""

    async def lag(self, group: str, topic: str) -> int:
        """Records between what the group last reported or committed and the end, over all partitions."""

    async def close(self) -> None: ...
