"""A playbook is a list to tick off, and whoever did a step stands beside it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from alerter.incidents import playbook
from alerter.incidents.playbook import PlaybookPiece
from tests.unit.alerter.make import NOW
from tests.unit.alerter.test_deeds import opened

TEXT = """# Smoke

First of all, *breathe*.

1. Answer the first post
   in public.
2. Ring the airport.

Then:

- [ ] Tell the press office.
* Close the flight's page.
"""


def test_items_of_lists_are_steps_and_the_rest_stands_between_them() -> None:
    assert playbook.pieces(TEXT) == [
        PlaybookPiece("# Smoke\n\nFirst of all, *breathe*.\n", False),
        PlaybookPiece("Answer the first post in public.", True),
        PlaybookPiece("Ring the airport.", True),
        PlaybookPiece("Then:\n", False),
        PlaybookPiece("Tell the press office.", True),
        PlaybookPiece("Close the flight's page.", True),
    ]


@pytest.mark.parametrize("text", ["", "\n\n", "no list at all", "-no item", "1.5 is a number"])
def test_a_playbook_without_a_list_has_no_steps(text: str) -> None:
    assert list(playbook.steps_in(text)) == []


def test_a_playbook_beyond_all_measure_has_a_bounded_number_of_steps() -> None:
    assert len(list(playbook.steps_in("- a step\n" * 5_000))) == playbook.MAX_STEPS


def test_a_tick_says_who_and_when_and_can_be_taken_back() -> None:
    later = NOW + timedelta(minutes=3)
    done = playbook.tick(opened(), "dana", "Ring the airport.", True, later)
    assert done is not None
    (tick,) = done.record.ticks
    assert (tick.step, tick.by, tick.at) == ("Ring the airport.", "dana", later)
    assert done.entries[0].because == "dana did: Ring the airport."
    assert done.message is not None
    assert not done.message.tell.is_told
    assert playbook.tick(done.record, "lee", "Ring the airport.", True, later) is None, "it is done"
    back = playbook.tick(done.record, "lee", "Ring the airport.", False, later)
    assert back is not None
    assert back.record.ticks == ()
    assert playbook.tick(back.record, "lee", "Ring the airport.", False, later) is None
