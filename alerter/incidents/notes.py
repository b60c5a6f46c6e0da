"""Notes and labels on an incident: what people want the others to know or find it by. Pure.

Nobody is told of them, so they may come from a system that is itself told of the incident. They may be given after its end.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from alerter.incidents.record import Entry, IncidentRecord, Message, Transition, refresh
from alerter.states import TellReason
from services.contracts.incident import MAX_LABELS, MAX_NOTE_CHARS, MAX_NOTES, Change, IncidentNote


def note(record: IncidentRecord, by: str, text: str, now: datetime) -> Transition | None:
    """Keep a note. Returns `None` if the newest one says the same, by the same person."""
    text = text.strip()[:MAX_NOTE_CHARS]
    notes = record.incident.notes
    if not text or (notes and (notes[-1].by, notes[-1].text) == (by, text)):
        return None
    kept = (*notes, IncidentNote(at=now, by=by, text=text))[-MAX_NOTES:]
    return recorded(record, {"notes": kept}, Entry("note", f"{by} noted: {text}", by), now)


def label(
    record: IncidentRecord, by: str, added: Collection[str], removed: Collection[str], now: datetime
) -> Transition | None:
    """Add and remove labels. What is beyond the most that an incident has is left out. Returns `None` if nothing changes."""
    had = record.incident.labels
    kept = tuple(sorted({*(one for one in had if one not in removed)}))
    room = MAX_LABELS - len(kept)
    new = [one for one in dict.fromkeys(added) if one not in kept and one not in removed][: max(0, room)]
    labels = tuple(sorted({*kept, *new}))
    if labels == had:
        return None
    said = "; ".join(
        f"{word} {', '.join(names)}"
        for word, names in (("added", sorted(new)), ("removed", sorted(set(had) - set(labels))))
        if names
    )
    return recorded(record, {"labels": labels}, Entry("labelled", f"{by} labelled it: {said}", by), now)


def recorded(record: IncidentRecord, changes: dict[str, object], entry: Entry, now: datetime) -> Transition:
    """Returns a change that is for the record: it is published, and nobody is told."""
    fields = {**changes, "sequence": record.incident.sequence + 1, "changed_at": now}
    message = Message(Change.UPDATED, entry.because, TellReason.RECORDED)
    return Transition(refresh(record, fields), (entry,), message)
