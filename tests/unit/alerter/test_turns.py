"""The order of the writes that wait for the one writer."""

from __future__ import annotations

from alerter.store.turns import MOST_PASSES, MOST_TOGETHER, SHARING_SECONDS, Turns


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def names(turns: Turns[str]) -> list[str]:
    return [job for job, _ in turns.turn()]


def waiting(bulk: str = "", urgent: str = "", clock: Clock | None = None) -> Turns[str]:
    turns: Turns[str] = Turns(clock or Clock())
    for job in bulk:
        turns.add(job, bulk=True)
    for job in urgent:
        turns.add(job, bulk=False)
    return turns


def test_what_is_due_to_people_goes_before_bulk_work_that_waited_longer() -> None:
    turns = waiting(bulk="ab", urgent="xy")
    assert [names(turns), names(turns), names(turns)] == [["x", "y"], ["a", "b"], []]


def test_each_kind_is_done_in_its_order() -> None:
    turns = waiting(bulk="abc")
    turns.add("x", bulk=False)
    assert names(turns) == ["x"]
    turns.add("d", bulk=True)
    assert names(turns) == ["a", "b", "c", "d"]


def test_bulk_work_is_passed_by_a_few_times_only_however_much_is_urgent() -> None:
    turns = waiting(bulk="ab")
    order = []
    for number in range(3 * (MOST_PASSES + 1)):
        turns.add(str(number), bulk=False)
        order.append(names(turns))
        turns.add("c", bulk=True)
    assert [place for place, jobs in enumerate(order) if not jobs[0].isdigit()] == [
        MOST_PASSES,
        2 * MOST_PASSES + 1,
        3 * MOST_PASSES + 2,
    ]


def test_bulk_work_ends_its_turn_when_something_urgent_comes() -> None:
    turns = waiting(bulk="abc")
    turn = turns.turn()
    assert next(turn) == ("a", False)
    turns.add("x", bulk=False)
    assert list(turn) == []
    assert [names(turns), names(turns)] == [["x"], ["b", "c"]]


def test_bulk_work_joins_a_commit_only_while_it_is_young() -> None:
    clock = Clock()
    turns = waiting(bulk="abcd", clock=clock)
    turn = turns.turn()
    assert [next(turn)[0], next(turn)[0]] == ["a", "b"]
    clock.seconds += SHARING_SECONDS
    assert list(turn) == []
    assert names(turns) == ["c", "d"]


def test_a_write_that_waits_alone_has_the_commit_to_itself() -> None:
    turns = waiting(urgent="x")
    turn = turns.turn()
    assert next(turn) == ("x", True)
    turns.add("y", bulk=False)
    assert list(turn) == []
    assert list(turns.turn()) == [("y", True)]


def test_a_commit_is_shared_by_a_bounded_number() -> None:
    turns = waiting(urgent="x" * (MOST_TOGETHER + 5))
    assert [len(names(turns)), len(names(turns))] == [MOST_TOGETHER, 5]
