"""Stores incidents as rows, within one transaction. Each is loaded whole and saved whole.

A save raises `Overtaken` if the sequence is not the one that was loaded: another replica changed the incident.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final, NamedTuple, cast

from pydantic import ValidationError
from sqlalchemy import Connection, bindparam, delete, func, insert, select, tuple_, update

from alerter.incidents import cards, findable, model
from alerter.incidents.cards import PostKey
from alerter.incidents.record import IncidentRecord, Story
from alerter.incidents.telling import Announcement
from alerter.states import ENDED
from alerter.store import later
from alerter.store.database import Overtaken, insert_missing_later
from alerter.store.tables import incidents, mentions, seen, stories, timeline
from services.base.errors import Damaged
from services.contracts.base import BrandId, EventId, StoryId
from services.contracts.incident import Incident

SEEN_OFFSETS: Final = 20_000
"""A signal that was appended twice is recognised if the two are at most this many records of their partition apart."""
FORGET_EVERY: Final = 1_000
"""Offsets after which those that are further apart are forgotten."""

# Built once, with rows as parameters: making a statement costs more than running it.
_STORIES: Final = select(*stories.c["brand", "story", "incident", "openings", "complaint"]).where(
    tuple_(stories.c.brand, stories.c.story).in_(bindparam("places", expanding=True))
)
_ADD_STORY: Final = insert(stories)
_PUT_STORY: Final = update(stories).where(
    stories.c.brand == bindparam("of_brand"), stories.c.story == bindparam("of_story")
)
_ADD_INCIDENT: Final = insert(incidents)
_PUT_INCIDENT: Final = update(incidents).where(
    incidents.c.id == bindparam("of_id"), incidents.c.sequence == bindparam("of_sequence")
)
_ADD_LINES: Final = insert(timeline)
_NEXT: Final = select(func.min(incidents.c.due_at))
_SEEN: Final = select(seen.c.id).where(seen.c.id.in_(bindparam("ids", expanding=True)))
_FORGET_SEEN: Final = delete(seen).where(
    seen.c.partition == bindparam("of_partition"), seen.c.offset < bindparam("before")
)


class Origin(NamedTuple):
    """The record that brought a signal."""

    signal: EventId
    partition: int
    offset: int
    appended_ms: int | None = None


def read_record(text: str) -> IncidentRecord:
    """The record that this version wrote as `text`, or an older or a newer one: while replicas are replaced one by one, two
    versions read the same rows. What the newer one noted and this one does not know is read over, and lost if this one writes.

    Raises `pydantic.ValidationError`.
    """
    return IncidentRecord.model_validate_json(text, extra="ignore")


def incident_of(connection: Connection, incident: str, *, lock: bool = False) -> IncidentRecord | None:
    """Returns the incident with this id, or `None`. A caller that is about to change it passes `lock`.

    Raises `Damaged` where the row cannot be read.
    """
    query = select(incidents.c.dossier).where(incidents.c.id == incident)
    text = connection.scalar(query.with_for_update() if lock else query)
    try:
        return None if text is None else read_record(text)
    except ValidationError as error:
        raise Damaged(f"incident {incident} cannot be read: {error.error_count()} fields are wrong") from None


class IncidentStore:
    """Incidents and stories for one transaction. What was loaded or saved is kept in memory until then."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._records: dict[str, IncidentRecord] = {}
        self._stories: dict[tuple[BrandId, StoryId], Story] = {}
        self._stored: set[tuple[BrandId, StoryId]] = set()

    def prefetch(self, wanted: Collection[tuple[BrandId, StoryId]]) -> None:
        """Load these stories in one query: most signals of a batch are about stories without a row."""
        new = set(wanted) - self._stories.keys()
        if not new:
            return
        self._stories |= dict.fromkeys(new, Story())
        for row in self._connection.execute(_STORIES, {"places": list(new)}):
            self._stories[row.brand, row.story] = Story(row.incident, row.openings, row.complaint)
            self._stored.add((row.brand, row.story))

    def story(self, brand: BrandId, story: StoryId) -> Story:
        if (brand, story) not in self._stories:
            self.prefetch([(brand, story)])
        return self._stories[brand, story]

    def put_story(self, brand: BrandId, story: StoryId, known: Story, now: datetime) -> None:
        values = {**known._asdict(), "touched_at": now}
        self.story(brand, story)
        if (brand, story) in self._stored:
            self._connection.execute(_PUT_STORY, {"of_brand": brand, "of_story": story, **values})
        else:
            later.do(self._connection, _ADD_STORY, [{"brand": brand, "story": story, **values}])
            self._stored.add((brand, story))
        self._stories[brand, story] = known

    def load(self, incident: str) -> IncidentRecord | None:
        """Returns the incident, locked for a change, or `None`. Raises `Damaged` if its row cannot be read."""
        if incident not in self._records:
            record = incident_of(self._connection, incident, lock=True)
            if record is None:
                return None
            self._records[incident] = record
        return self._records[incident]

    def open_incident_of(self, brand: BrandId, story: StoryId) -> IncidentRecord | None:
        """Returns the incident that the story belongs to, or `None` if there is none or it is over."""
        incident = self.story(brand, story).incident
        record = self.load(incident) if incident is not None else None
        return None if record is None or record.ended else record

    def save(
        self,
        before: IncidentRecord | None,
        announced: Announcement,
        origin: Origin | None,
        now: datetime,
        wall: datetime | None = None,
    ) -> None:
        """Write the incident and the new lines of its timeline. With `wall` they say how long the signal was under way.

        Raises `Overtaken` if another replica changed the incident since it was loaded.
        """
        after = announced.record
        incident = after.incident
        values: dict[str, Any] = {
            "state": incident.state,
            "severity": incident.severity,
            "sequence": incident.sequence,
            "changed_at": incident.changed_at,
            "due_at": model.due(after),
            # A page by hand uses none of its brand's page budget up.
            "told_at": after.told_at if after.asked is None else None,
            "held_until": incident.held.until if incident.held is not None and not after.ended else None,
            "acknowledged_by": incident.acknowledged_by,
            "answer_by": incident.answer_by,
            "easing": incident.is_easing,
            **findable.columns_of(after),
            "dossier": after.model_dump_json(exclude_defaults=True),
        }
        if before is None:
            place = {"id": incident.id, "brand": incident.brand, "story": incident.story, "ordinal": after.ordinal}
            later.do(self._connection, _ADD_INCIDENT, [{**place, "opened_at": incident.opened_at, **values}])
        else:
            was = {"of_id": incident.id, "of_sequence": before.incident.sequence}
            if not self._connection.execute(_PUT_INCIDENT, {**was, **values}).rowcount:
                raise Overtaken(f"incident {incident.id} was changed meanwhile")
        self._records[incident.id] = after
        self._mention(before, after)
        self._note(incident, announced, origin, now, _took_micro(origin, wall))

    def keep(self, record: IncidentRecord) -> None:
        """Write what is noted beside an incident, and set its timer. That is no change to the incident."""
        incident = record.incident
        if record != self._records.get(incident.id):
            where = (incidents.c.id == incident.id, incidents.c.sequence == incident.sequence)
            values = {"dossier": record.model_dump_json(exclude_defaults=True), "due_at": model.due(record)}
            self._connection.execute(update(incidents).where(*where).values(**values))
            self._records[incident.id] = record

    def rest(self, record: IncidentRecord) -> None:
        """Set the incident's timer anew, when its timer fired and nothing was to be done."""
        due = (incidents.c.id == record.incident.id, incidents.c.sequence == record.incident.sequence)
        self._connection.execute(update(incidents).where(*due).values(due_at=model.due(record)))

    def told_since(self, brand: BrandId, since: datetime) -> int:
        """Returns how many of a brand's incidents people were first told of since then."""
        query = select(func.count()).select_from(incidents)
        return self._connection.scalar(query.where(incidents.c.brand == brand, incidents.c.told_at > since)) or 0

    def insisted_since(self, brand: BrandId, since: datetime) -> int:
        """Returns how often policies of a brand's incidents were repeated after they were used up, since then."""
        query = select(func.count()).select_from(timeline).join(incidents, incidents.c.id == timeline.c.incident)
        open_ = (incidents.c.brand == brand, incidents.c.state.not_in(ENDED))
        return self._connection.scalar(query.where(*open_, timeline.c.kind == "insisted", timeline.c.at > since)) or 0

    def _mention(self, before: IncidentRecord | None, after: IncidentRecord) -> None:
        known = {cards.key(card) for card in before.cards.every()} if before is not None else set()
        new = {cards.key(card) for card in after.cards.every()} - known
        rows = [{"network": network, "post_id": post, "incident": after.incident.id} for network, post in sorted(new)]
        insert_missing_later(self._connection, mentions, rows)

    def _note(
        self,
        incident: Incident,
        announced: Announcement,
        origin: Origin | None,
        now: datetime,
        took_micro: int | None,
    ) -> None:
        lines = [
            {
                "incident": incident.id,
                "sequence": incident.sequence,
                "at": now,
                "kind": entry.kind,
                "because": entry.because,
                "actor": entry.actor,
                "signal": origin.signal if origin else None,
                "partition": origin.partition if origin else None,
                "offset": origin.offset if origin else None,
                "took_micro": took_micro,
                "tell": announced.tell,
            }
            for entry in announced.entries
        ]
        later.do(self._connection, _ADD_LINES, lines)

    def mentioning(self, post: PostKey) -> list[IncidentRecord]:
        """Returns every incident, ended or not, that quotes this post."""
        network, post_id = post
        ids = self._connection.scalars(
            select(mentions.c.incident)
            .where(mentions.c.network == network, mentions.c.post_id == post_id)
            .order_by(mentions.c.incident)
        ).all()
        return [record for i in ids if (record := self.load(i)) is not None]

    def due(self, now: datetime, most: int) -> list[str]:
        """Returns the ids of incidents whose timer is due, the longest overdue first."""
        query = select(incidents.c.id).where(incidents.c.due_at <= now).order_by(incidents.c.due_at).limit(most)
        return list(self._connection.scalars(query))


def _took_micro(origin: Origin | None, wall: datetime | None) -> int | None:
    """Returns how long ago the signal was appended, in microseconds of real time, if that is known."""
    if origin is None or origin.appended_ms is None or wall is None:
        return None
    return max(0, int(wall.timestamp() * 1_000_000) - origin.appended_ms * 1000)


def next_due(connection: Connection) -> datetime | None:
    return cast("datetime | None", connection.scalar(_NEXT))


def seen_among(connection: Connection, ids: Collection[EventId]) -> set[str]:
    return set(connection.scalars(_SEEN, {"ids": list(ids)}))


def mark_seen(connection: Connection, origins: Collection[Origin], partition: int, base: int, position: int) -> None:
    """Remember these signals as applied. Now and then, forget those that are too far before `position`."""
    rows = [{"id": o.signal, "partition": o.partition, "offset": o.offset} for o in origins]
    insert_missing_later(connection, seen, rows)
    if base // FORGET_EVERY < position // FORGET_EVERY:
        connection.execute(_FORGET_SEEN, {"of_partition": partition, "before": position - SEEN_OFFSETS})


def counts(connection: Connection) -> dict[tuple[str, int], int]:
    """Returns the number of incidents that are not over, by state and severity."""
    rows = connection.execute(
        select(incidents.c.state, incidents.c.severity, func.count())
        .where(incidents.c.state.not_in(ENDED))
        .group_by(incidents.c.state, incidents.c.severity)
    )
    return {(state, severity): count for state, severity, count in rows}
