"""Reads texts in batches on one thread, and gives each caller its readings in the order in which it asked.

No batch waits to be filled: callers gather while the thread reads, and when it is free it takes what is there. So a single
post is read at once, and a flood is read in batches of similar length (padding is work) within a budget of tokens (a batch is
also how long a single post may have to wait). Texts that are spelled alike are read once: a text that is being read is not
read a second time, and readings are remembered.

The event loop only queues calls and hands out readings. Spelling, remembering and reading happen on the thread, one turn at a
time, and the next turn begins when the last one is back. So the state of a turn has one owner at any time and needs no lock.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from scorer.sentiment.model import Reading, SentimentModel
from services.base.errors import Backpressure

Key = tuple[str, str]
"""The spelled text and its language: two texts with the same key are the same to the model."""

MAX_TOKENS = 96
CHARS_PER_TOKEN = 4
RETRY_SECONDS = 1.0


class BatcherMetrics:
    """The metrics of one process. The hit rate is the share of `joined` and `remembered` in
    `firebreak_sentiment_texts_total`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.texts = Counter(
            "firebreak_sentiment_texts_total",
            "Texts asked for, by answer: read, joined (to the same text that was being read), remembered",
            ["answer"],
            registry=registry,
        )
        self.abstained = Counter(
            "firebreak_sentiment_abstained_total",
            "Texts on which the model abstained",
            ["reason"],
            registry=registry,
        )
        self.batch_texts = Histogram(
            "firebreak_sentiment_batch_texts",
            "Texts in a batch",
            registry=registry,
            buckets=(1, 2, 4, 8, 16, 32, 64, 128),
        )
        self.read_seconds = Histogram(
            "firebreak_sentiment_read_seconds",
            "Time that the model took to read a batch",
            registry=registry,
            buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5),
        )
        self.wait_seconds = Histogram(
            "firebreak_sentiment_wait_seconds",
            "Time from a call to its last reading",
            registry=registry,
            buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5, 20),
        )
        self.waiting = Gauge(
            "firebreak_sentiment_waiting_texts", "Texts that were asked for and not answered yet", registry=registry
        )
        self.remembered = Gauge("firebreak_sentiment_remembered_texts", "Readings held in memory", registry=registry)


@dataclass(slots=True, eq=False)
class _Call:
    """What one caller waits for. Only the event loop touches it, except for `texts` and `languages`, which the thread reads."""

    texts: Sequence[str]
    languages: Sequence[str | None]
    done: asyncio.Future[list[Reading]]
    readings: list[Reading | None]
    missing: int


@dataclass(slots=True, eq=False)
class _Item:
    """One text that must be read, and the calls that wait for it, each with the place of the text in the call."""

    key: Key
    text: str
    language: str | None
    tokens: int
    waiters: list[tuple[_Call, int]] = field(default_factory=list)


Answer = tuple[_Call, int, Reading]


class Batcher:
    """Any number of tasks may call `score` while `run` is running. `spell` gives texts that mean the same to the model the
    same spelling; the model itself gets the text as it was written.

    At most `max_waiting` texts wait at a time (a larger call is let in alone). A batch has at most `batch_texts` texts and
    `batch_tokens` tokens, padding included. `remember` readings are kept, about 0.5 kB each."""

    WINDOW = 512
    """The oldest texts among which a batch of similar lengths is sought. With more of them batches are no better, and sorting
    takes longer."""

    def __init__(
        self,
        model: SentimentModel,
        metrics: BatcherMetrics,
        *,
        spell: Callable[[str], str] = str.strip,
        batch_tokens: int = 1024,
        batch_texts: int = 64,
        max_waiting: int = 8192,
        remember: int = 20_000,
    ) -> None:
        self._model = model
        self._metrics = metrics
        self._spell = spell
        self._batch_tokens = batch_tokens
        self._batch_texts = batch_texts
        self._max_waiting = max_waiting
        self._remember = remember
        self._fresh: deque[_Call] = deque()
        self._calls: set[_Call] = set()
        self._inside = 0
        self._door = asyncio.Lock()
        self._left = asyncio.Event()
        self._wake = asyncio.Event()
        self._stopping = False
        self._ended = asyncio.Event()
        # The state of a turn: only the thread touches it, and only during a turn.
        self._pool: OrderedDict[Key, _Item] = OrderedDict()
        self._memory: OrderedDict[Key, Reading] = OrderedDict()

    async def score(self, texts: Sequence[str], languages: Sequence[str | None]) -> list[Reading]:
        """One reading for each text, in order. Waits while too many texts are waiting already.

        Raises `Backpressure` if the batcher is stopping, `ValueError` if there are not as many languages as texts, and the
        model's own error if it failed.
        """
        if len(texts) != len(languages):
            raise ValueError(f"{len(texts)} texts and {len(languages)} languages")
        if not texts:
            return []
        await self._enter(len(texts))
        loop = asyncio.get_running_loop()
        call = _Call(texts, languages, loop.create_future(), [None] * len(texts), len(texts))
        self._fresh.append(call)
        self._calls.add(call)
        self._wake.set()
        began = loop.time()
        try:
            return await call.done
        finally:
            self._metrics.wait_seconds.observe(loop.time() - began)
            self._calls.discard(call)
            self._leave(len(texts))

    async def run(self) -> None:
        """Hands turns to the thread until it is told to stop and nothing is left. If the model fails, its error ends this task
        and every call."""
        loop = asyncio.get_running_loop()
        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="inference")
        try:
            while not (self._stopping and not self._fresh and not self._pool):
                self._wake.clear()
                if not self._fresh and not self._pool:
                    await self._wake.wait()
                    continue
                fresh = list(self._fresh)
                self._fresh.clear()
                answers = await loop.run_in_executor(thread, self._turn, fresh)
                for call, place, reading in answers:
                    _settle(call, place, reading)
                self._metrics.remembered.set(len(self._memory))
        except Exception as trouble:
            self._fail(trouble)
            raise
        finally:
            self._stopping = True
            self._fail(Backpressure("the scorer stops", RETRY_SECONDS))
            thread.shutdown(wait=False, cancel_futures=True)
            self._ended.set()

    async def stop(self, deadline: float) -> None:
        """Refuse new calls, answer those that wait until `deadline` (`loop.time()`), and refuse the rest. May be called
        twice."""
        self._stopping = True
        self._wake.set()
        self._left.set()
        try:
            async with asyncio.timeout_at(deadline):
                await self._ended.wait()
        except TimeoutError:
            self._fail(Backpressure("the scorer stops", RETRY_SECONDS))

    async def _enter(self, count: int) -> None:
        # The lock keeps the order: a call that waits for room is not overtaken by smaller ones.
        async with self._door:
            while not self._stopping and self._inside and self._inside + count > self._max_waiting:
                self._left.clear()
                await self._left.wait()
            if self._stopping:
                raise Backpressure("the scorer stops", RETRY_SECONDS)
            self._inside += count
            self._metrics.waiting.set(self._inside)

    def _leave(self, count: int) -> None:
        self._inside -= count
        self._metrics.waiting.set(self._inside)
        self._left.set()

    def _fail(self, trouble: Exception) -> None:
        for call in self._calls:
            if not call.done.done():
                call.done.set_exception(trouble)
        self._left.set()

    # -- in the thread ------------------------------------------------------------------------------------------------

    def _turn(self, fresh: list[_Call]) -> list[Answer]:
        """Take in new calls, answer from memory, and read one batch."""
        answers: list[Answer] = []
        for call in fresh:
            for place, (text, language) in enumerate(zip(call.texts, call.languages, strict=True)):
                self._admit(call, place, text, language, answers)
        batch = self._choose()
        if not batch:
            return answers
        self._metrics.batch_texts.observe(len(batch))
        with self._metrics.read_seconds.time():
            readings = self._model.read([item.text for item in batch], [item.language for item in batch])
        for item, reading in zip(batch, readings, strict=True):
            del self._pool[item.key]
            self._memory[item.key] = reading
            answers += [self._answer(call, place, reading) for call, place in item.waiters]
        while len(self._memory) > self._remember:
            self._memory.popitem(last=False)
        return answers

    def _admit(self, call: _Call, place: int, text: str, language: str | None, answers: list[Answer]) -> None:
        key = (self._spell(text), (language or "").casefold())
        known = self._memory.get(key)
        if known is not None:
            self._memory.move_to_end(key)
            self._metrics.texts.labels("remembered").inc()
            answers.append(self._answer(call, place, known))
            return
        item = self._pool.get(key)
        if item is None:
            item = self._pool[key] = _Item(key, text, language, min(MAX_TOKENS, 2 + len(key[0]) // CHARS_PER_TOKEN))
            self._metrics.texts.labels("read").inc()
        else:
            self._metrics.texts.labels("joined").inc()
        item.waiters.append((call, place))

    def _answer(self, call: _Call, place: int, reading: Reading) -> Answer:
        if reading.abstain:
            # What follows the colon (which language) is for people; labels stay a closed set.
            self._metrics.abstained.labels(reading.abstain.partition(":")[0]).inc()
        return call, place, reading

    def _choose(self) -> list[_Item]:
        """The batch that holds the oldest text, with others of similar length. A batch costs its longest text times the number
        of its texts, because shorter ones are padded."""
        if not self._pool:
            return []
        window = [item for item, _ in zip(self._pool.values(), range(self.WINDOW), strict=False)]
        oldest = window[0]
        window.sort(key=lambda item: item.tokens)
        batch: list[_Item] = []
        for item in window:
            if len(batch) == self._batch_texts or (batch and item.tokens * (len(batch) + 1) > self._batch_tokens):
                if oldest in batch:  # by identity
                    break
                batch = []
            batch.append(item)
        return batch


def _settle(call: _Call, place: int, reading: Reading) -> None:
    call.readings[place] = reading
    call.missing -= 1
    if call.missing == 0 and not call.done.done():
        call.done.set_result([one for one in call.readings if one is not None])
