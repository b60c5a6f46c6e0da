"""What callers of the batcher may rely on, whatever the model and however many call."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from scorer.sentiment.batcher import Batcher, BatcherMetrics
from scorer.sentiment.model import Reading
from services.base.errors import Backpressure
from tests.patience import PATIENCE_SECONDS


class Echo:
    """Reads the length of a text; notes its batches and threads; can be held back."""

    name = "echo"
    degraded = False

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.threads: set[str] = set()
        self.gate = threading.Event()
        self.gate.set()
        self.reading = threading.Event()
        self.trouble: Exception | None = None

    def read(self, texts: Sequence[str], languages: Sequence[str | None]) -> list[Reading]:
        self.threads.add(threading.current_thread().name)
        self.batches.append(list(texts))
        self.reading.set()
        assert self.gate.wait(10)
        if self.trouble:
            raise self.trouble
        return [_reading_of(text, language) for text, language in zip(texts, languages, strict=True)]


def _reading_of(text: str, language: str | None = None) -> Reading:
    share = min(1.0, len(text.strip()) / 1000)
    reason = "no text" if language is None else f"language: {language}"
    return Reading(share, 1 - share, 0.0, abstain=None if text.strip() else reason)


@asynccontextmanager
async def going(model: Echo, **bounds: int) -> AsyncIterator[tuple[Batcher, CollectorRegistry]]:
    registry = CollectorRegistry()
    batcher = Batcher(model, BatcherMetrics(registry), **bounds)  # type: ignore[arg-type]
    task = asyncio.create_task(batcher.run())
    try:
        yield batcher, registry
    finally:
        model.gate.set()
        await batcher.stop(asyncio.get_running_loop().time() + 5)
        await asyncio.gather(task, return_exceptions=True)


async def until(claim: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not claim():
            await asyncio.sleep(0)


async def ask(batcher: Batcher, texts: Sequence[str]) -> list[Reading]:
    return await batcher.score(texts, [None] * len(texts))


def texts_by(registry: CollectorRegistry, answer: str) -> float:
    return registry.get_sample_value("firebreak_sentiment_texts_total", {"answer": answer}) or 0.0


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(st.text("ab ", max_size=40), max_size=30), min_size=1, max_size=8),
    st.integers(1, 7),
    st.integers(10, 60),
)
def test_every_caller_gets_its_readings_in_its_own_order(
    calls: list[list[str]], batch_texts: int, batch_tokens: int
) -> None:
    async def story() -> None:
        model = Echo()
        async with going(model, batch_texts=batch_texts, batch_tokens=batch_tokens, remember=5) as (batcher, _):
            found = await asyncio.gather(*(ask(batcher, texts) for texts in calls))
        for texts, readings in zip(calls, found, strict=True):
            assert [reading.negative for reading in readings] == [_reading_of(text).negative for text in texts]
        assert all(len(batch) <= batch_texts for batch in model.batches)

    asyncio.run(story())


async def test_one_post_alone_is_read_at_once() -> None:
    model = Echo()
    async with going(model) as (batcher, _):
        for number in range(5):
            await ask(batcher, [f"post {number}"])
    assert model.batches == [[f"post {number}"] for number in range(5)]


async def test_callers_that_come_while_the_thread_reads_share_the_next_batch() -> None:
    model = Echo()
    model.gate.clear()
    async with going(model) as (batcher, _):
        first = asyncio.create_task(ask(batcher, ["first"]))
        await until(model.reading.is_set)
        rest = [asyncio.create_task(ask(batcher, [f"later {number}"])) for number in range(9)]
        await asyncio.sleep(0)
        model.gate.set()
        await asyncio.gather(first, *rest)
    assert [len(batch) for batch in model.batches] == [1, 9]


async def test_the_loop_goes_on_while_the_model_reads() -> None:
    model = Echo()
    model.gate.clear()
    async with going(model) as (batcher, _):
        asked = asyncio.create_task(ask(batcher, ["slow"]))
        await until(model.reading.is_set)
        for _ in range(100):
            await asyncio.sleep(0)
        assert not asked.done()
        model.gate.set()
        assert len(await asked) == 1


async def test_one_thread_reads_all() -> None:
    model = Echo()
    async with going(model, batch_texts=2) as (batcher, _):
        await asyncio.gather(*(ask(batcher, [f"{caller} {n}" for n in range(7)]) for caller in range(5)))
    assert len(model.threads) == 1
    assert threading.current_thread().name not in model.threads


async def test_a_text_is_read_once_however_often_it_comes() -> None:
    model = Echo()
    model.gate.clear()
    async with going(model) as (batcher, registry):
        first = asyncio.create_task(ask(batcher, ["same", "other", " same "]))
        await until(model.reading.is_set)
        in_flight = asyncio.create_task(ask(batcher, ["same"]))
        await asyncio.sleep(0)
        model.gate.set()
        await asyncio.gather(first, in_flight)
        await ask(batcher, ["same"])
        assert sum(map(len, model.batches)) == 2
        assert (texts_by(registry, "read"), texts_by(registry, "joined"), texts_by(registry, "remembered")) == (2, 1, 2)


async def test_the_same_text_in_another_language_is_another_text() -> None:
    model = Echo()
    async with going(model) as (batcher, _):
        await batcher.score(["gift", "gift", "gift"], ["de", "en", "DE"])
    assert sum(map(len, model.batches)) == 2


async def test_memory_is_bounded_and_keeps_what_was_asked_for_last() -> None:
    model = Echo()
    async with going(model, remember=2) as (batcher, registry):
        for text in ("a", "b", "a", "c", "a", "b"):
            await ask(batcher, [text])
        assert [batch[0] for batch in model.batches] == ["a", "b", "c", "b"]
        assert registry.get_sample_value("firebreak_sentiment_remembered_texts") == 2


async def test_a_batch_stays_within_its_padded_tokens_and_holds_alike_lengths() -> None:
    model = Echo()
    texts = [f"{number:03d}" + "x" * (4 * (number % 40)) for number in range(200)]
    async with going(model, batch_tokens=200, batch_texts=1000) as (batcher, _):
        await ask(batcher, texts)
    assert sorted(text for batch in model.batches for text in batch) == sorted(texts)
    for batch in model.batches:
        tokens = [2 + len(text) // 4 for text in batch]
        assert len(batch) * max(tokens) <= 200 or len(batch) == 1
    assert len(model.batches) < 40


async def test_the_oldest_text_is_in_the_next_batch() -> None:
    model = Echo()
    model.gate.clear()
    async with going(model, batch_texts=2) as (batcher, _):
        held = asyncio.create_task(ask(batcher, ["held"]))
        await until(model.reading.is_set)
        long = asyncio.create_task(ask(batcher, ["x" * 300]))
        await asyncio.sleep(0)
        short = asyncio.create_task(ask(batcher, [f"s{number}" for number in range(20)]))
        await asyncio.sleep(0)
        model.gate.set()
        await asyncio.gather(held, long, short)
    assert "x" * 300 in model.batches[1]


async def test_too_many_wait_at_the_door_in_the_order_they_came() -> None:
    model = Echo()
    model.gate.clear()
    async with going(model, max_waiting=4) as (batcher, registry):
        order: list[str] = []

        async def caller(name: str, count: int) -> None:
            await ask(batcher, [f"{name}{number}" for number in range(count)])
            order.append(name)

        tasks = [asyncio.create_task(caller("first", 4))]
        await until(model.reading.is_set)
        tasks += [asyncio.create_task(caller("huge", 50)), asyncio.create_task(caller("small", 1))]
        for _ in range(20):
            await asyncio.sleep(0)
        assert registry.get_sample_value("firebreak_sentiment_waiting_texts") == 4
        model.gate.set()
        await asyncio.gather(*tasks)
        assert order == ["first", "huge", "small"]
        assert registry.get_sample_value("firebreak_sentiment_waiting_texts") == 0


async def test_a_caller_that_gave_up_leaves_its_room_and_hurts_nobody() -> None:
    model = Echo()
    model.gate.clear()
    async with going(model) as (batcher, registry):
        gone = asyncio.create_task(ask(batcher, ["gone", "shared"]))
        await until(model.reading.is_set)
        stays = asyncio.create_task(ask(batcher, ["shared"]))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        model.gate.set()
        assert len(await stays) == 1
        assert registry.get_sample_value("firebreak_sentiment_waiting_texts") == 0


async def test_a_stop_answers_those_inside_and_lets_nobody_in() -> None:
    model = Echo()
    model.gate.clear()
    async with going(model, batch_texts=1) as (batcher, _):
        inside = asyncio.create_task(ask(batcher, ["a", "b", "c"]))
        await until(model.reading.is_set)
        stop = asyncio.create_task(batcher.stop(asyncio.get_running_loop().time() + 5))
        await asyncio.sleep(0)
        with pytest.raises(Backpressure):
            await ask(batcher, ["late"])
        model.gate.set()
        await stop
        assert len(await inside) == 3
        await batcher.stop(asyncio.get_running_loop().time())


async def test_a_stop_ends_at_its_deadline_and_refuses_the_rest() -> None:
    model = Echo()
    model.gate.clear()
    async with going(model) as (batcher, _):
        inside = asyncio.create_task(ask(batcher, ["a"]))
        await until(model.reading.is_set)
        await batcher.stop(asyncio.get_running_loop().time() + 0.01)
        with pytest.raises(Backpressure):
            await inside


async def _raises(work: Awaitable[object], trouble: type[Exception]) -> None:
    with pytest.raises(trouble, match="broke"):
        await work


async def test_a_model_that_breaks_ends_the_task_and_every_call() -> None:
    model = Echo()
    model.trouble = RuntimeError("the model broke")
    batcher = Batcher(model, BatcherMetrics(CollectorRegistry()))
    task = asyncio.create_task(batcher.run())
    await _raises(ask(batcher, ["a"]), RuntimeError)
    await _raises(task, RuntimeError)
    with pytest.raises(Backpressure):
        await ask(batcher, ["b"])
    await batcher.stop(asyncio.get_running_loop().time() + 1)


async def test_abstentions_are_counted_by_a_closed_set_of_reasons() -> None:
    model = Echo()
    async with going(model) as (batcher, registry):
        await batcher.score(["", " ", " "], [None, "th", "sw"])
        assert registry.get_sample_value("firebreak_sentiment_abstained_total", {"reason": "language"}) == 2
        assert registry.get_sample_value("firebreak_sentiment_abstained_total", {"reason": "no text"}) == 1


async def test_texts_and_languages_must_match() -> None:
    async with going(Echo()) as (batcher, _):
        with pytest.raises(ValueError, match="1 texts and 2 languages"):
            await batcher.score(["a"], [None, None])
        assert await batcher.score([], []) == []
