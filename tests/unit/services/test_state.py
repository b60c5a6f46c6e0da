"""A lane's state: what was put is committed once, restored whole, and wakes when it asked to."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from services.base.errors import Damaged
from services.stream.state import KeyedState


class Value(msgspec.Struct):
    count: int


def fresh(entries: Mapping[str, bytes] = {}, version: int = 1) -> KeyedState[Value]:
    state = KeyedState("c:", Value, version)
    state.restore(entries)
    return state


def kept(changes: Mapping[str, bytes | None]) -> dict[str, bytes]:
    return {key: value for key, value in changes.items() if value is not None}


def test_state_and_its_timer_come_back() -> None:
    state = fresh()
    state.put("a", Value(1), due=50.0)
    state.put("b", Value(2), due=None)
    again = fresh(kept(state.changes()))
    assert again.get("a") == Value(1)
    assert again.get("b") == Value(2)
    assert again.next_due() == 50.0
    assert list(again.pop_due(49.9)) == []
    assert list(again.pop_due(50.0)) == ["a"]


def test_entries_of_another_kind_are_left_alone() -> None:
    state = fresh({"v:a": b"not ours"})
    assert len(state) == 0


@pytest.mark.parametrize("entry", [b"", b"\x01", b"\x02" + bytes(8)])
def test_an_entry_of_another_version_is_refused_and_named(entry: bytes) -> None:
    with pytest.raises(Damaged, match="'c:a' is of version"):
        fresh({"c:a": entry})


def test_an_entry_that_cannot_be_read_is_named_on_first_touch() -> None:
    state = fresh({"c:a": b"\x01" + bytes(8) + b"\xc1"})
    with pytest.raises(Damaged, match="'c:a' cannot be read"):
        state.get("a")


def test_a_timer_that_was_moved_fires_once_at_its_new_time() -> None:
    state = fresh()
    state.put("a", Value(1), due=10.0)
    state.put("a", Value(1), due=30.0)
    assert list(state.pop_due(20.0)) == []
    assert list(state.pop_due(30.0)) == ["a"]
    assert state.next_due() is None


class Machine(RuleBasedStateMachine):
    """Against a plain dictionary, with a restart from what was committed at any moment."""

    def __init__(self) -> None:
        super().__init__()
        self.state = fresh()
        self.model: dict[str, tuple[int, float | None]] = {}
        self.committed: dict[str, bytes] = {}

    keys = st.sampled_from("abcd")
    times = st.none() | st.floats(0, 100)

    @rule(key=keys, count=st.integers(0, 9), due=times)
    def put(self, key: str, count: int, due: float | None) -> None:
        self.state.put(key, Value(count), due)
        self.model[key] = (count, due)

    @rule(key=keys)
    def delete(self, key: str) -> None:
        self.state.delete(key)
        self.model.pop(key, None)

    @rule(now=st.floats(0, 100))
    def fire(self, now: float) -> None:
        fired = list(self.state.pop_due(now))
        assert sorted(fired) == sorted(k for k, (_, due) in self.model.items() if due is not None and due <= now)
        for key in fired:
            self.put(key, self.model[key][0], None)

    @rule()
    def commit(self) -> None:
        for key, value in self.state.changes().items():
            if value is None:
                del self.committed[key]
            else:
                self.committed[key] = value

    @rule()
    def restart(self) -> None:
        self.commit()
        self.state = fresh(self.committed)

    @invariant()
    def agrees(self) -> None:
        assert set(self.state.keys()) == set(self.model)
        for key, (count, _) in self.model.items():
            assert self.state.get(key) == Value(count)
        dues = [due for _, due in self.model.values() if due is not None]
        assert self.state.next_due() == (min(dues) if dues else None)


TestMachine = Machine.TestCase
