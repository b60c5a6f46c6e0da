"""The time by which timers run: it goes on, whatever is done to the clock of the machine."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.base.clock import SLEW, SteadyTime

START = 1_800_000_000.0


class Machine:
    """A clock that can be set, and a counter that cannot."""

    def __init__(self) -> None:
        self.wall, self.elapsed = START, 50.0
        self.steady = SteadyTime(lambda: self.wall, lambda: self.elapsed)

    def pass_time(self, seconds: float) -> float:
        self.wall += seconds
        self.elapsed += seconds
        return self.steady()

    def set(self, by: float) -> float:
        self.wall += by
        return self.steady()


def test_it_is_the_machines_clock_while_nobody_sets_that() -> None:
    machine = Machine()
    assert [machine.pass_time(60) for _ in range(3)] == [START + 60, START + 120, START + 180]
    assert machine.steady.ahead == 0


def test_a_clock_that_is_set_back_an_hour_delays_a_timer_of_five_minutes_by_half_a_minute_at_most() -> None:
    machine = Machine()
    due = machine.pass_time(10) + 300
    assert machine.set(-3600) == due - 300
    for _ in range(340):
        if machine.pass_time(1) >= due:
            break
    assert machine.elapsed - 60 <= 300 / (1 - SLEW) + 1


def test_it_agrees_with_the_machines_clock_again_in_the_end() -> None:
    machine = Machine()
    machine.set(-3600)
    for _ in range(11):
        machine.pass_time(3600)
    assert machine.steady.ahead == 0
    assert machine.steady() == machine.wall


def test_what_is_overdue_by_a_clock_that_is_set_forward_is_overdue() -> None:
    machine = Machine()
    assert machine.set(3600) == START + 3600


def test_a_machine_that_slept_without_counting_it_goes_on_with_its_clock() -> None:
    machine = Machine()
    machine.wall += 8 * 3600  # the counter stood still
    assert machine.pass_time(1) == START + 8 * 3600 + 1


@given(st.lists(st.tuples(st.sampled_from(["pass", "set"]), st.floats(-1e5, 1e5)), max_size=40))
def test_it_never_goes_back_and_never_waits_for_the_machines_clock(moves: list[tuple[str, float]]) -> None:
    machine = Machine()
    before = machine.steady()
    for what, seconds in moves:
        at = machine.pass_time(abs(seconds)) if what == "pass" else machine.set(seconds)
        least = before + (abs(seconds) * (1 - SLEW) if what == "pass" else 0)
        assert at >= least - 1e-3
        assert at >= machine.wall
        before = at


@pytest.mark.parametrize("seconds", [-3600.0, -90.0, 3600.0])
def test_a_step_is_said_once(
    seconds: float, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = Machine()
    machine.pass_time(1)
    machine.set(seconds)
    machine.pass_time(1)
    machine.pass_time(1)
    said = caplog.text + capsys.readouterr().out
    assert said.count("clock_set_") == 1
