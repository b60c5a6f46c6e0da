"""Gives every caller its readings in the order it asked, while one thread reads batches as full as the moment allows.

No batch waits to be filled: while the thread reads, callers gather; when it is free, it takes what is there. So one
post alone is read at once, and a flood is read in batches that share a length (padding is work) and stay within a
token budget (a batch is also how long a single post may have to wait). Texts that are spelled alike are read once:
joined while in flight, remembered after.

The loop only queues and settles. Spelling, remembering and reading happen in the one thread, a turn at a time, and the
next turn is handed over when the last one is back: all state of a turn has one owner at any time and needs no lock.
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
"""The spelled text and its language: what makes two texts the same to the model."""

MAX_TOKENS = 96
CHARS_PER_TOKEN = 4
RETRY_SECONDS = 1.0


class BatcherMetrics:
    """Declared once a process. The hit rate is (joined + remembered) / all of `firebreak_sentiment_texts_total`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.texts = Counter(
            "firebreak_sentiment_texts_total",
            "Texts asked for, by how they were answered: read, joined (to one in flight), remembered",
            ["answer"],
            registry=registry,
        )
        self.abstained = Counter(
            "firebreak_sentiment_abstained_total",
            "Texts on which the model would rather not say",
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
            "Time that the model took for a batch",
            registry=registry,
            buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5),
        )
        self.wait_seconds = Histogram(
            "firebreak_sentiment_wait_seconds",
            "Time from asking to the last reading of a call",
            registry=registry,
            buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5, 20),
        )
        self.waiting = Gauge(
            "firebreak_sentiment_waiting_texts", "Texts asked for and not answered yet", registry=registry
        )
        self.remembered = Gauge("firebreak_sentiment_remembered_texts", "Readings held in memory", registry=registry)


@dataclass(slots=True, eq=False)
class _Call:
    """What one caller waits for. Touched by the loop only, `texts` and `languages` excepted."""

    texts: Sequence[str]
    languages: Sequence[str | None]
    done: asyncio.Future[list[Reading]]
    readings: list[Reading | None]
    missing: int


@dataclass(slots=True, eq=False)
class _Item:
    """One text that must be read, and everybody who waits for it."""

    key: Key
    text: str
    language: str | None
    tokens: int
    waiters: list[tuple[_Call, int]] = field(default_factory=list)


Answer = tuple[_Call, int, Reading]


class Batcher:
    """`score` may be called by any number of tasks once `run` is going. `spell` folds texts that mean the same to the
    model into one; the model gets the text as it was written.

    Bounds: `max_waiting` texts inside (one larger call is let in alone), `batch_tokens` with padding and
    `batch_texts` in a batch, `remember` readings (about 0.5 kB each)."""

    WINDOW = 512
    """Texts, oldest first, among which those of like length are sought: more gains nothing, and sorting is a turn's
    work."""

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
        # The turn's own state: touched in the thread while a turn is out, by nobody otherwise.
        self._pool: OrderedDict[Key, _Item] = OrderedDict()
        self._memory: OrderedDict[Key, Reading] = OrderedDict()

    async def score(self, texts: Sequence[str], languages: Sequence[str | None]) -> list[Reading]:
        """One reading a text, in order. Waits for room when too many are inside. Raises `Backpressure` once stopping,
        and whatever the model raised if it broke."""
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
        """The long task: hands turns to the thread until stopped and nothing is left. Ends with the model's own error
        if it broke; every caller gets the same."""
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
        """Let nobody in, answer those inside until `deadline` (`loop.time()`), refuse the rest. May be called twice."""
        self._stopping = True
        self._wake.set()
        self._left.set()
        try:
            async with asyncio.timeout_at(deadline):
                await self._ended.wait()
        except TimeoutError:
            self._fail(Backpressure("the scorer stops", RETRY_SECONDS))

    async def _enter(self, count: int) -> None:
        # The door keeps the order: whoever waits for room is not overtaken by smaller calls.
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

    # ---- in the thread
    # -------------------------------------------------------------------------------------------------

    def _turn(self, fresh: list[_Call]) -> list[Answer]:
        """Take in who came, answer from memory, read one batch."""
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
        """The batch that holds the oldest text, among others of like length. Its cost is its longest text times its
        size, since shorter ones are padded."""
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
