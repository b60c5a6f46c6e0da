"""Incidents and complaints are graded in opposite directions: no sentence that people read gives both as a number."""

from __future__ import annotations

import re

import pytest

from alerter.incidents import model, suppression
from alerter.notify.formats import native, plain
from alerter.notify.formats.notice import notice_of
from alerter.rules import decide
from alerter.rules.severity import grade
from services.contracts.base import StoryId
from services.contracts.incident import Change
from services.contracts.post import SourcePolicy
from services.contracts.scales import COMPLAINTS, a_complaint, sev
from services.contracts.signal import Level
from tests.unit.alerter import make

BARE = re.compile(r"severity[ :]*\d|\d of 4|\bfrom \d to \d\b", re.IGNORECASE)


def test_every_grade_has_its_word() -> None:
    assert [sev(n) for n in range(1, 5)] == ["SEV1", "SEV2", "SEV3", "SEV4"]
    assert [a_complaint(n) for n in (None, 0, 1, 2, 3, 4)] == [
        "a negative post",
        "a negative post",
        "a mild complaint",
        "a moderate complaint",
        "a severe complaint",
        "an extreme complaint",
    ]
    assert len(COMPLAINTS) == 5


@pytest.mark.parametrize("complaint", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("asks", [{"complaint_severity": 0}, {"level": Level.WATCH}, {"severity": 4, "raises_to": 1}])
def test_a_page_gives_no_bare_number_of_either_scale(complaint: int, asks: dict[str, object]) -> None:
    rule = make.rule(**({"level": None} | asks))
    signal = make.forecast() if "level" in asks else make.negative(severity=complaint)
    decision = decide.decide(signal, [rule], make.LINE, complaint, make.NOW)
    assert decision is not None
    known = make.UNKNOWN._replace(complaint=complaint)
    opened = model.open_incident(signal, decision, StoryId(make.STORY), known, make.setting(), make.NOW)
    worse = make.forecast(2, Level.CROSSED)
    joined = model.join(opened.record, worse, decide.decide(worse, [make.rule()], make.LINE, complaint, make.NOW).grade, make.NOW)  # type: ignore[union-attr]  # fmt: skip  # noqa: E501
    assert joined is not None
    told = make.announced(opened.record, joined, make.NOW)
    storm = suppression.open_storm(opened.record, 0, 1, None, make.NOW)
    for record, because in (
        (opened.record, decision.reason),
        (told.record, make.said(told).because),
        (storm.record, make.said(storm).because),
    ):
        body = native.render(record.incident, Change.UPDATED, because, lambda _: SourcePolicy.TEXT_ALLOWED, None)
        notice = notice_of(body)
        assert notice is not None
        page = f"{plain.title(notice)}\n{plain.lines(notice)}"
        assert f"[{sev(record.incident.severity)}]" in page
        assert f"Severity: {sev(record.incident.severity)}" in page
        assert not BARE.search(page), page


def test_a_title_says_how_bad_the_complaint_is() -> None:
    signal = make.negative(severity=4)
    decision = decide.Decision(make.rule(), grade(signal, make.LINE, 4), "because")
    known = make.UNKNOWN._replace(complaint=4)
    opened = model.open_incident(signal, decision, StoryId(make.STORY), known, make.setting(), make.NOW)
    assert opened.record.incident.title == "Acme: an extreme complaint on bsky"
