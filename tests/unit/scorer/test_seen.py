"""Whatever is read again is counted once: pages in any order, across restarts, up to a bound that is stated."""

from __future__ import annotations

import random
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorer import seen as module
from scorer.lane_state import STATE_VERSION, LaneState, cascade_state
from scorer.seen import CHUNK_IDS, ID_BYTES, MOST_IDS, RECENT_IDS, SeenEvents
from scorer.virality.cascade import Cascade

STORY = "x:1"


class Story:
    """One conversation in the state of a lane, committed after every page."""

    def __init__(self) -> None:
        self.entries: dict[str, bytes] = {}
        self.written: list[int] = []
        self.restart()

    def restart(self) -> None:
        self.state = LaneState()
        self.state.restore(self.entries)

    def read(self, page: Sequence[bytes]) -> int:
        """Returns how many events of the page were counted."""
        counted = 0
        for digest in page:
            cascade = self.state.cascades.get(STORY) or Cascade(story=STORY, network="x")
            counted += self.state.seen.remember(STORY, cascade, digest) is not None
            self.state.cascades.put(STORY, cascade, None)
        self.commit()
        return counted

    def commit(self) -> None:
        changes = self.state.changes()
        self.written.append(sum(len(value) for value in changes.values() if value is not None))
        for key, value in changes.items():
            if value is None:
                self.entries.pop(key, None)
            else:
                self.entries[key] = value


def ids(count: int, seed: int = 0) -> list[bytes]:
    rng = random.Random(seed)
    return [rng.randbytes(ID_BYTES) for _ in range(count)]


@pytest.mark.parametrize("size", [1, 63, 64, 65, 199, 1_000, 1_024, 1_088, 10_000])
def test_a_second_read_counts_nothing(size: int) -> None:
    story, page = Story(), ids(size)
    assert story.read(page) == size
    assert story.read(page) == 0
    story.restart()
    assert story.read(list(reversed(page))) == 0


@settings(max_examples=25, deadline=None)
@given(
    total=st.integers(1, 10_000),
    pages=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.booleans()), min_size=1, max_size=12),
)
def test_pages_that_are_read_in_any_order_count_each_event_once(
    total: int, pages: list[tuple[float, float, bool]]
) -> None:
    story, events = Story(), ids(total)
    known: set[bytes] = set()
    for one, other, restarts in pages:
        begin, end = sorted((int(one * total), int(other * total)))
        page = events[begin:end]
        assert story.read(page) == len(set(page) - known)
        known |= set(page)
        if restarts:
            story.restart()


def test_the_first_page_of_a_large_story_is_known_at_its_end() -> None:
    story, events = Story(), ids(60_000)
    for start in range(0, len(events), 500):
        story.read(events[start : start + 500])
    assert story.read(events[:10_000]) == 0
    story.restart()
    assert story.read(events[:10_000]) == 0


def test_a_batch_of_the_hottest_story_rewrites_its_newest_chunk_only() -> None:
    story = Story()
    events = ids(20_000)
    for start in range(0, len(events), 100):
        story.read(events[start : start + 100])
    assert max(story.written) < 2 * CHUNK_IDS * ID_BYTES + 2_000
    assert sum(map(len, story.entries.values())) < len(events) * (ID_BYTES + 0.5) + 2_000


def test_the_oldest_are_forgotten_at_the_bound_and_this_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_IDS", 4 * CHUNK_IDS)
    monkeypatch.setattr(module, "FORGET_IDS", CHUNK_IDS)
    seen, cascade, events = SeenEvents(), Cascade(story=STORY, network="x"), ids(4 * CHUNK_IDS + RECENT_IDS)
    forgotten = [seen.remember(STORY, cascade, digest) for digest in events]
    assert sum(filter(None, forgotten)) == CHUNK_IDS
    assert seen.remember(STORY, cascade, events[CHUNK_IDS]) is None
    assert seen.remember(STORY, cascade, events[CHUNK_IDS - 1]) == 0
    assert MOST_IDS >= 1_000_000, "the real one is never reached by an ordinary storm"


def test_conversations_take_turns_in_the_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "INDEXED_IDS", 1_000)
    seen = SeenEvents()
    cascades = {f"x:{number}": Cascade(story=f"x:{number}", network="x") for number in range(5)}
    pages = {name: ids(700, seed) for seed, name in enumerate(cascades)}
    for _turn in range(3):
        for name, cascade in cascades.items():
            known = [seen.remember(name, cascade, digest) is None for digest in pages[name]]
            assert known == [_turn > 0] * 700
    assert len(seen._indexes) == 1


def test_a_conversation_that_is_over_leaves_nothing() -> None:
    story = Story()
    story.read(ids(5_000))
    assert len(story.entries) > 4
    cascade = story.state.cascades.get(STORY)
    assert cascade is not None
    story.state.end(STORY, cascade, now=0.0)
    story.commit()
    assert story.entries == {}


def test_what_the_version_before_remembered_is_still_known() -> None:
    events = ids(64)
    old = Cascade(story=STORY, network="x", ids=b"".join(digest[-5:] for digest in events))
    state = cascade_state()
    state.put(STORY, old, None)
    story = Story()
    story.entries = {key: b"\x03" + (value or b"")[1:] for key, value in state.changes().items()}
    story.restart()
    assert story.read([*events, *ids(200, seed=1)]) == 200
    assert story.entries[f"c:{STORY}"][0] == STATE_VERSION
    assert story.read([*events, *ids(200, seed=1)]) == 0


def test_a_cascade_with_few_events_costs_a_few_bytes() -> None:
    story = Story()
    story.read(ids(7))
    empty = len(msgspec.msgpack.encode(Cascade(story=STORY, network="x")))
    assert sum(map(len, story.entries.values())) - empty < 7 * ID_BYTES + 32
    assert [key[:2] for key in story.entries] == ["c:"]
