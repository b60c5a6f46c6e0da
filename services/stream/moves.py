"""Where a stage could not go on where it was: what is said of that, to the lane and to those who run the installation."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from services.contracts.base import event_id
from services.contracts.codec import encode
from services.contracts.stage import Misplacement, Moved, StageMoved
from services.contracts.topics import SIGNALS
from services.eventlog.base import Gap, Message


def moves_of(stage: str, partition: int, gap: Gap | None, healed: tuple[int, int] | None) -> list[Moved]:
    """Returns how a stage goes on elsewhere: behind a `gap`, or because its position was said of another log. `healed` is that
    position, and where reading goes on."""
    moves = []
    if healed is not None:
        moves.append(_moved(stage, partition, healed, Misplacement.ANOTHER_LOG))
    if gap is not None:
        moves.append(_moved(stage, partition, gap, Misplacement.RETENTION))
    return moves


def news_of(moves: Sequence[Moved]) -> list[Moved]:
    """Returns those that people are told of. A stage that begins on a log with a past has not lost it."""
    return [moved for moved in moves if moved.position]


def messages(moves: Sequence[Moved], now: datetime) -> list[Message]:
    """Returns what a stage that writes to the log appends, in the transaction that makes the moves last, to tell of them."""
    return [
        Message(
            SIGNALS.name,
            f"{moved.stage}/{moved.partition}",
            encode(
                StageMoved(moved=moved),
                event_id(StageMoved.TYPE, moved.stage, moved.partition, moved.position, moved.goes_on_at, now),
            ),
        )
        for moved in news_of(moves)
    ]


def _moved(stage: str, partition: int, way: tuple[int, int], why: Misplacement) -> Moved:
    return Moved(stage=stage, partition=partition, position=way[0], goes_on_at=way[1], why=why)
