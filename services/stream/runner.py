"""Runs a stage over the log: each lane reads, thinks and commits on its own.

A step is read -> process -> commit. Nothing takes effect before the commit, and all thinking is done when the commit begins.
Outputs, state, dead letters and progress are one transaction of the log.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

import structlog

from services.base.clock import Clock
from services.base.crashpoints import seam
from services.base.errors import FirebreakError
from services.base.metrics import FloorMetrics
from services.base.tasks import Health, Tasks
from services.eventlog.base import Batch, EventLog, Group, Membership, Owner, Record, TooLarge, Transaction
from services.stream.deadletter import DeadLetters
from services.stream.lanes import READ_SECONDS, Again, Lane, Lanes
from services.stream.moves import messages, moves_of
from services.stream.off_loop import Stalled
from services.stream.processor import Processor, StepResult
from services.stream.strikes import DIED, KEY, Strikes, without

logger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Stage:
    name: str
    group: Group
    make: Callable[[int, DeadLetters], Processor]
    """Makes the processor of one partition. It sets aside what it cannot read with the dead letters that it is given."""
    batch_records: int


class Runner:
    """One stage in this process."""

    def __init__(
        self, stage: Stage, log: EventLog, clock: Clock, metrics: FloorMetrics, dead_letters_per_minute: int
    ) -> None:
        self._stage = stage
        self._clock = clock
        self._letters = DeadLetters(stage.name, dead_letters_per_minute, clock, metrics.dead_letters)
        self._lanes = Lanes(stage.name, stage.group, self._serve, log, metrics)
        self._one_by_one: dict[int, int] = {}
        """Partition -> position up to which records are taken one by one, to find the one that breaks a step."""
        self._life = uuid.uuid4().hex

    async def start(self, tasks: Tasks) -> None:
        await self._lanes.start(tasks)

    @property
    def membership(self) -> Membership:
        return self._lanes.membership

    async def _serve(self, lane: Lane, owner: Owner) -> None:
        restored = owner.restored
        processor = self._stage.make(lane.partition, self._letters)
        entries, note = without(restored.entries)
        processor.restore(entries)
        after, moved_from = restored.next, restored.moved_from
        healed = None if moved_from is None else (moved_from, after)
        moves = moves_of(self._stage.name, lane.partition, restored.gap, healed)
        lane.begin(moves, processor.due)
        news = messages(moves, self._clock.now())
        if news:
            await owner.commit(Transaction(after, news))
        strikes = Strikes(note, self._life, after)
        while not lane.stopping:
            alone = after < max(self._one_by_one.get(lane.partition, -1), strikes.alone_until)
            batch = await owner.read(1 if alone else self._stage.batch_records, self._patience(processor))
            if batch.records or self._is_due(processor):
                lane.busy = True
                if batch.records:
                    await self._judge(lane, owner, strikes, batch, after)
                    after = batch.next
                await self._step(lane, owner, processor, batch.records, after)
            lane.rest()

    async def _judge(self, lane: Lane, owner: Owner, strikes: Strikes, batch: Batch, position: int) -> None:
        """Note what is about to be thought about, or set it aside if processes died of it."""
        aside, note = strikes.judge(position, batch.next)
        if aside:
            await self._set_aside(lane, owner, batch.records, batch.next, "fatal", DIED)
        if note is not None:
            await owner.commit(Transaction(position, changes={KEY: note}))

    def _patience(self, processor: Processor) -> float:
        due = processor.due()
        if due is None:
            return READ_SECONDS
        return min(READ_SECONDS, self._clock.real_seconds((due - self._clock.now()).total_seconds()))

    def _is_due(self, processor: Processor) -> bool:
        due = processor.due()
        return due is not None and due <= self._clock.now()

    async def _step(
        self, lane: Lane, owner: Owner, processor: Processor, records: Sequence[Record], after: int
    ) -> None:
        try:
            outcome = await self._think(processor, records)
        except FirebreakError:
            raise
        except Exception as error:
            logger.exception("record_not_processed", stage=self._stage.name, partition=lane.partition)
            reason = "stalled" if isinstance(error, Stalled) else "processor_error"
            await self._set_aside(lane, owner, records, after, reason, type(error).__name__)
        seam("lane.processed")
        began = time.monotonic()
        try:
            await owner.commit(Transaction(after, outcome.appends, outcome.changes))
        except TooLarge as error:
            await self._set_aside(lane, owner, records, after, "too_large_output", str(error))
        lane.committed(records, time.monotonic() - began)

    async def _think(self, processor: Processor, records: Sequence[Record]) -> StepResult:
        now = self._clock.now()
        outcome = await processor.process(records, now) if records else StepResult()
        due = processor.due()
        if due is not None and due <= now:
            fired = await processor.fire(now)
            outcome.appends += fired.appends
            outcome.changes |= fired.changes
        return outcome

    async def _set_aside(
        self, lane: Lane, owner: Owner, records: Sequence[Record], after: int, reason: str, detail: str
    ) -> NoReturn:
        """Find and set aside the record that breaks a step. A record that was alone in its step becomes a dead letter; the
        records of a larger step are taken one by one from now on. The lane starts anew in both cases, because its memory
        has seen a step that will not be committed."""
        if not records:
            raise FirebreakError(f"a timer of {self._stage.name}/{lane.partition} cannot be committed: {detail}")
        if len(records) == 1:
            await owner.commit(Transaction(after, [self._letters.letter(records[0], reason, detail)]))
        self._one_by_one[lane.partition] = after
        raise Again

    def ready(self) -> Health:
        return self._lanes.ready()

    def live(self) -> Health:
        return self._lanes.live()

    async def idle(self) -> bool:
        return await self._lanes.idle(self._clock.now())

    async def stop(self, deadline: float) -> None:
        await self._lanes.stop(deadline)
