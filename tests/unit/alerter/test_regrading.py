"""A person gives an incident another severity; what is worse than they knew then counts all the same."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from alerter.incidents import regrading
from alerter.incidents.actions import resolve
from alerter.incidents.judgements import Regraded, graded_by_hand
from alerter.incidents.record import IncidentRecord
from alerter.incidents.transitions import Refused
from services.contracts.incident import Change
from tests.unit.alerter.make import NOW
from tests.unit.alerter.test_deeds import opened


def regraded(record: IncidentRecord, severity: int, because: str = "the minister called") -> Any:
    return regrading.regrade(record, "dana", severity, because, NOW + timedelta(minutes=1))


def test_the_reason_stands_in_the_timeline_and_in_the_message() -> None:
    made = regraded(opened(), 1)
    assert made.record.incident.severity == 1
    (entry,) = made.entries
    assert (entry.kind, entry.actor) == ("regraded", "dana")
    assert entry.because == "dana changed it from SEV3 to SEV1: the minister called"
    assert made.message is not None
    assert (made.message.change, made.message.because) == (Change.UPDATED, entry.because)
    assert made.message.tell.is_told
    assert made.record.incident.sequence == opened().incident.sequence + 1


def test_the_same_severity_again_changes_nothing() -> None:
    record = opened()
    assert regraded(record, record.incident.severity) is None
    assert regraded(regraded(record, 1).record, 1) is None


def test_what_is_over_is_not_graded_any_more() -> None:
    over = resolve(opened(), "dana", "", NOW).record
    with pytest.raises(Refused):
        regraded(over, 1)


@pytest.mark.parametrize(
    ("said", "was", "graded", "found"),
    [
        (4, 2, 2, 4),  # made milder: it stays so
        (4, 2, 3, 4),
        (4, 2, 1, 1),  # until it is worse than it was then
        (1, 3, 3, 1),  # made worse: nothing makes it milder again
        (1, 3, 4, 1),
        (2, 3, 1, 1),
        (3, 2, None, 3),  # nothing grades it any more
    ],
)
def test_what_a_person_said_holds_until_it_is_worse_than_they_knew(
    said: int, was: int, graded: int | None, found: int
) -> None:
    assert graded_by_hand(Regraded(severity=said, was=was), graded, said) == found


def test_it_can_be_changed_back_and_then_signals_grade_it_as_if_nobody_had() -> None:
    record = opened()
    had = record.incident.severity
    back = regraded(regraded(record, 1).record, had).record
    assert back.incident.severity == had
    assert back.regraded is not None
    assert back.regraded.was == had
