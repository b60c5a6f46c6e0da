"""A playbook as steps to tick off, and what was ticked. Pure.

A playbook is Markdown; each item of its lists is a step, and everything else stands between them. What was ticked stays with
the incident by the step's words: a playbook that is edited meanwhile loses only the ticks of what it no longer says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Final, NamedTuple

from alerter.incidents.judgements import StepDone
from alerter.incidents.notes import recorded
from alerter.incidents.record import Entry, IncidentRecord, Transition
from services.config.model import Config
from services.contracts.incident import Incident

MAX_STEPS: Final = 100
MAX_STEP_CHARS: Final = 500
_ITEM: Final = re.compile(r"^\s*(?:[-*+]|\d+[.)])\s+(?:\[[ xX]\]\s+)?")


class PlaybookPiece(NamedTuple):
    """A step, as `step`, or Markdown between steps."""

    text: str
    is_step: bool


def playbook_of(config: Config, incident: Incident) -> str | None:
    """Returns the playbook of the incident's rule, as the configuration has it now."""
    rule = next((rule for rule in config.rules if rule.id == incident.rule), None)
    return config.playbooks.get(rule.playbook or "") if rule is not None else None


def pieces(text: str) -> list[PlaybookPiece]:
    """Returns the playbook in its order. A line that goes on from a step belongs to it."""
    found: list[PlaybookPiece] = []
    for line in text.splitlines():
        item = _ITEM.match(line)
        if item is not None and sum(piece.is_step for piece in found) < MAX_STEPS:
            found.append(PlaybookPiece(line[item.end() :].strip()[:MAX_STEP_CHARS], True))
        elif found and found[-1].is_step and line.startswith((" ", "\t")) and line.strip():
            found[-1] = PlaybookPiece(f"{found[-1].text} {line.strip()}"[:MAX_STEP_CHARS], True)
        elif found and not found[-1].is_step:
            found[-1] = PlaybookPiece(f"{found[-1].text}\n{line}", False)
        elif line.strip():
            found.append(PlaybookPiece(line, False))
    return [piece for piece in found if piece.text.strip()]


def steps_in(text: str | None) -> Iterator[str]:
    """Yields the steps of a playbook."""
    return (piece.text for piece in pieces(text or "") if piece.is_step)


def tick(record: IncidentRecord, by: str, step: str, done: bool, now: datetime) -> Transition | None:
    """Note that a step is done, or after all not. Returns `None` if that is known. It may be said after the end, too."""
    known = any(one.step == step for one in record.ticks)
    if known is done:
        return None
    kept = tuple(one for one in record.ticks if one.step != step)
    ticks = (*kept, StepDone(step=step, by=by, at=now))[-MAX_STEPS:] if done else kept
    said = f"{by} {'did' if done else 'took back that it is done'}: {step}"
    entry = Entry("ticked" if done else "unticked", said, by)
    return recorded(record.model_copy(update={"ticks": ticks}), {}, entry, now)
