"""The tables, for SQLite and PostgreSQL alike: integers, text and bytes, and nothing that only one of them knows.

A time is stored as whole microseconds since 1970 UTC, which sorts, compares and survives a dump in both. Columns that end in
`_wall` hold real time (leases, measurements); all others are by the injected clock, which drills and tests may change.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    text,
)

from alerter.store.vault import Sealed, SealedBytes

_BEGIN: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class Moment(TypeDecorator[datetime]):
    """A time with a zone, kept as microseconds since 1970 UTC."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        return None if value is None else (value - _BEGIN) // _MICROSECOND

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else _BEGIN + timedelta(microseconds=value)


# SQLite numbers rows automatically only in a column that is declared INTEGER.
_NUMBER = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData()

positions = Table(
    "positions",
    metadata,
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("next", BigInteger, nullable=False),
    Column("last_offset", BigInteger),
    Column("last_ms", BigInteger),
)
"""How far `firebreak.signals` is applied, and which record that was: its offset, and when the log got it. Moved by
compare-and-set in the transaction that applies signals."""

seen = Table(
    "seen",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Index("seen_by_offset", "partition", "offset"),
)
"""Signals that had an effect, by id, so that one that was appended twice counts once. Pruned by offset."""

incidents = Table(
    "incidents",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("brand", String(64), nullable=False),
    Column("story", Text, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("severity", Integer, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("opened_at", Moment, nullable=False),
    Column("changed_at", Moment, nullable=False),
    Column("due_at", Moment),
    Column("told_at", Moment),
    Column("held_until", Moment),
    Column("acknowledged_by", Text),
    Column("answer_by", Moment),
    Column("easing", Boolean, nullable=False, server_default=false()),
    Column("dossier", Text, nullable=False),
    UniqueConstraint("brand", "story", "ordinal"),
    Index("incidents_due", "due_at"),
    Index("incidents_told", "brand", "told_at"),
    Index("incidents_newest", "opened_at", "id"),
    Index("incidents_open", "state", "changed_at"),
)
"""`dossier` is the whole incident record; the other columns are what queries need.

`due_at` is its next timer, `told_at` when people were first told, and `held_until` how long a silence, quiet hours or
the page budget hold it back. The board is ordered by `acknowledged_by`, `answer_by` and `easing`."""

silences = Table(
    "silences",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("covers", String(16), nullable=False),
    Column("matchers", Text, nullable=False),
    Column("starts_at", Moment, nullable=False),
    Column("ends_at", Moment, nullable=False),
    Column("author", Text, nullable=False),
    Column("comment", Text, nullable=False, default=""),
    Column("created_at", Moment, nullable=False),
    Column("version", Integer, nullable=False, default=1, server_default="1"),
    Column("changed_at", Moment),
    Column("changed_by", Text),
    Index("silences_end", "ends_at"),
)
"""Silences and campaign mutes, kept for a while after their end."""

stories = Table(
    "stories",
    metadata,
    Column("brand", String(64), primary_key=True),
    Column("story", Text, primary_key=True),
    Column("incident", String(64), ForeignKey("incidents.id")),
    Column("openings", Integer, nullable=False, default=0),
    Column("complaint", Integer),
    Column("touched_at", Moment, nullable=False),
    Index("stories_old", "touched_at"),
)
"""Which incident a story belongs to, how many it has opened itself, and the severity of its worst complaint."""

groupings = Table(
    "groupings",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("incident", String(64), ForeignKey("incidents.id"), nullable=False),
    Column("members", Integer, nullable=False),
    Index("groupings_of_incident", "incident"),
)
"""For rules with `group_by`: the incident that takes in the stories of a group, and how many it has."""

mentions = Table(
    "mentions",
    metadata,
    Column("network", String(64), primary_key=True),
    Column("post_id", Text, primary_key=True),
    Column("incident", String(64), ForeignKey("incidents.id"), primary_key=True),
    Column("author", String(64)),
    Index("mentions_author", "author"),
)
"""Which posts an incident quotes, so that a redaction finds every copy. `author` is a hash of who wrote the post."""

redactions = Table(
    "redactions",
    metadata,
    Column("post", Text, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("hidden", Boolean, nullable=False, default=False, server_default=false()),
    Index("redactions_old", "at"),
)
"""Posts that were deleted where they were written, as `network:id`: no signal that is still under way brings one back. What was
only `hidden` may be shown again."""

erased_authors = Table(
    "erased_authors",
    metadata,
    Column("author", String(64), primary_key=True),
    Column("at", Moment, nullable=False),
    Column("before", Moment, nullable=False),
    Column("noted_at", Moment, nullable=False),
    Index("erased_authors_old", "noted_at"),
)
"""Authors who were erased from a network, as hashes: no signal brings back what they wrote `before` then. `at` is when they
were erased or reinstated."""

timeline = Table(
    "timeline",
    metadata,
    Column("id", _NUMBER, primary_key=True),
    Column("incident", String(64), ForeignKey("incidents.id"), nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("at", Moment, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("because", Text, nullable=False),
    Column("actor", Text),
    Column("signal", String(64)),
    Column("partition", Integer),
    Column("offset", BigInteger),
    Column("took_micro", BigInteger),
    Column("tell", String(16)),
    Index("timeline_of_incident", "incident", "id"),
)

outcomes = Table(
    "outcomes",
    metadata,
    Column("incident", String(64), ForeignKey("incidents.id"), primary_key=True),
    Column("brand", String(64), nullable=False),
    Column("rule", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("forecast", Boolean, nullable=False),
    Column("opened_at", Moment, nullable=False),
    Column("told_at", Moment),
    Column("crossed_at", Moment),
    Column("answered_at", Moment),
    Column("mark", String(16)),
    Index("outcomes_newest", "opened_at"),
)
"""Alarms, to measure what they were worth: of incidents that ended or have a mark."""

steps = Table(
    "steps",
    metadata,
    Column("incident", String(64), ForeignKey("incidents.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("due_at", Moment, nullable=False),
    Column("state", String(16), nullable=False),
    Column("done_at", Moment),
    Column("because", Text),
    Index("steps_due", "state", "due_at"),
)
"""Steps of policies: `waiting`, `done` or `cancelled`. The transaction that does a step writes the row of the next one.
`because` says why a step comes sooner than the policy says."""

pages = Table(
    "pages",
    metadata,
    Column("id", _NUMBER, primary_key=True),
    Column("incident", String(64), ForeignKey("incidents.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("target", String(100), nullable=False),
    Column("who", Text, nullable=False),
    Column("endpoint", String(64), nullable=False),
    Column("delivery", String(64), nullable=False),
    Column("rest", Text, nullable=False),
    Column("fallback", Boolean, nullable=False),
    Column("state", String(16), nullable=False),
    Column("paged_at", Moment, nullable=False),
    Column("paged_wall", Moment, nullable=False),
    Column("check_at", Moment, nullable=False),
    Column("failed", Text),
    Column("responder", String(64)),
    Index("pages_due", "state", "check_at"),
    Index("pages_of_delivery", "delivery"),
    Index("pages_of_incident", "incident", "number"),
)
"""Deliveries of a policy's step that must arrive. `rest` are the methods that were not tried yet, as JSON; `responder` is the
person behind the target, if it is one. `number` is that of the step; a hand-over has `escalation.policy.HAND_OVER`."""

rings = Table(
    "rings",
    metadata,
    Column("id", _NUMBER, primary_key=True),
    Column("incident", String(64), ForeignKey("incidents.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("target", String(100), nullable=False),
    Column("who", Text, nullable=False),
    Column("responder", String(64), nullable=False),
    Column("urgency", String(16), nullable=False),
    Column("method", String(64), nullable=False),
    Column("rest", Text, nullable=False),
    Column("fallback", Boolean, nullable=False),
    Column("state", String(16), nullable=False),
    Column("after_minutes", Float, nullable=False),
    Column("due_at", Moment, nullable=False),
    Column("done_at", Moment),
    Column("because", Text),
    Index("rings_due", "state", "due_at"),
    Index("rings_of_incident", "incident", "state"),
)
"""Messages to come to people who were paged, by rules of their own: `waiting`, `done` or `cancelled`. `rest` are the
methods that no rule names, as JSON: they are tried if the last message fails. `because` says why one comes early."""

contact_methods = Table(
    "contact_methods",
    metadata,
    Column("responder", String(64), primary_key=True),
    Column("method", String(64), primary_key=True),
    Column("confirmed_at", Moment),
    Column("confirmed_how", String(16)),
    Column("endpoint_made", Moment),
    Column("off_at", Moment),
    Column("off_by", Text),
    Index("contact_methods_off", "off_at"),
)
"""What is known of the methods by which people are reached; those that nothing is known of have no row. A confirmation holds
for the endpoint that was made at `endpoint_made`: another one of the same name is confirmed anew."""

method_codes = Table(
    "method_codes",
    metadata,
    Column("delivery", String(64), primary_key=True),
    Column("responder", String(64), nullable=False),
    Column("method", String(64), nullable=False),
    Column("made_at", Moment, nullable=False),
    Column("ends_at", Moment, nullable=False),
    Column("tries", Integer, nullable=False, default=0),
    Index("method_codes_newest", "responder", "method", "made_at"),
)
"""Codes that were sent to confirm a method, each by the delivery that brought it. The code itself stands nowhere: it is made of
the delivery's id and the installation's key when it is sent, and again when it is entered."""

drills = Table(
    "drills",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("begun_at", Moment, nullable=False),
    Column("ends_at", Moment, nullable=False),
    Column("by", Text, nullable=False),
    Column("every_method", Boolean, nullable=False),
    Column("gaps", Text, nullable=False),
    Index("drills_newest", "begun_at"),
)
"""Page drills: everybody on duty was rung once. `gaps` says where nobody was on duty, as JSON."""

drill_pages = Table(
    "drill_pages",
    metadata,
    Column("drill", String(32), ForeignKey("drills.id", ondelete="CASCADE"), primary_key=True),
    Column("responder", String(64), primary_key=True),
    Column("method", String(64), primary_key=True),
    Column("who", Text, nullable=False),
    Column("due_at", Moment, nullable=False),
    Column("delivery", String(64)),
    Column("why_not", Text),
    Column("confirmed_at", Moment),
    Column("confirmed_by", Text),
)
"""The test pages of a drill. Without a `delivery` none was sent, and `why_not` says why; `method` is empty if the person has
none that works."""

overrides = Table(
    "overrides",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("schedule", String(64), nullable=False),
    Column("begins", Moment, nullable=False),
    Column("ends", Moment, nullable=False),
    Column("responder", String(64)),
    Column("replaces", String(64)),
    Column("by", Text, nullable=False),
    Column("comment", Text, nullable=False),
    Column("made_at", Moment, nullable=False),
    Index("overrides_by_end", "ends"),
)
"""Who is on call for a schedule for a while, in place of what it says. Without a `responder` nobody is."""

absences = Table(
    "absences",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("responder", String(64), nullable=False),
    Column("begins", Moment, nullable=False),
    Column("ends", Moment, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("zone", String(64), nullable=False),
    Column("by", Text, nullable=False),
    Column("comment", Text, nullable=False),
    Column("made_at", Moment, nullable=False),
    Index("absences_by_end", "ends"),
)
"""When a person cannot be on call, and in which zone that was said."""

schedule_versions = Table(
    "schedule_versions",
    metadata,
    Column("schedule", String(64), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("holds_from", Moment, nullable=False),
    Column("ends", Moment),
    Column("text", Text, nullable=False),
    Column("first", Text, nullable=False),
    Index("schedule_versions_by_end", "ends"),
)
"""What each schedule said, as JSON, from `holds_from` up to `ends`, which only the newest version lacks. `first` says of each
layer which of its responders has its first turn, as JSON."""

declarations = Table(
    "declarations",
    metadata,
    Column("revision", BigInteger, primary_key=True, autoincrement=False),
    Column("part", String(16), nullable=False),
    Column("id", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("document", Text),
    Column("changed_at", Moment, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("ends", Moment),
    UniqueConstraint("part", "id", "version"),
    Index("declarations_by_end", "ends"),
)
"""People, schedules and policies that were declared at run time, each version as a row. `document` is the item as the file
would hold it, as JSON, or null where it was deleted. `ends` is when the next version came, or when it was deleted.
`revision` counts all changes: by it a replica sees that there is one, and none is made that overlooks another one."""

answer_clocks = Table(
    "answer_clocks",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("brand", String(64), nullable=False),
    Column("network", String(64), nullable=False),
    Column("post_id", Text, nullable=False),
    Column("conversation", Text, nullable=False),
    Column("account", Text),
    Column("kind", String(16)),
    Column("band", String(32)),
    Column("followers", BigInteger),
    Column("asked_at", Moment),
    Column("due_at", Moment),
    Column("permalink", Text),
    Column("reply_link", Text),
    Column("policy", String(16)),
    Column("language", String(16)),
    Column("text", Text),
    Column("state", String(16), nullable=False),
    Column("answered_at", Moment),
    Column("answer_id", Text),
    Column("tell_at", Moment),
    Column("told_at", Moment),
    Column("digest", String(64)),
    Column("noted_at", Moment, nullable=False),
    Column("voice", String(32)),
    Column("copies", Integer, nullable=False, default=0, server_default="0"),
    Column("author", String(64)),
    Index("answer_clocks_author", "author"),
    Index("answer_clocks_voice", "brand", "voice"),
    Index("answer_clocks_tell", "state", "tell_at"),
    Index("answer_clocks_due", "state", "due_at"),
    Index("answer_clocks_asked", "asked_at"),
    Index("answer_clocks_noted", "noted_at"),
)
"""By when complaints and questions are to be answered. `language` and `text` are those of posts that were not read. `tell_at`
is when the account's owner is told if nobody has answered; `told_at` and `digest` are when that was, and the delivery. `voice`
is the same for all copies of a text: `copies` of them have joined this clock. `author` is a hash of who wrote the post."""

answer_digests = Table(
    "answer_digests",
    metadata,
    Column("brand", String(64), primary_key=True),
    Column("account", Text, primary_key=True),
    Column("number", Integer, nullable=False),
    Column("next_at", Moment, nullable=False),
)
"""The number of an account's last digest, and when the next one may be sent. `account` is empty if it is unknown."""

endpoints = Table(
    "endpoints",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("kind", String(32), nullable=False, default="webhook"),
    Column("url", Sealed, nullable=False),
    Column("options", Sealed, nullable=False, default="{}"),
    Column("description", Text, nullable=False, default=""),
    Column("brands", Text, nullable=False, default="[]"),
    Column("severities", Text, nullable=False, default="[]"),
    Column("types", Text, nullable=False, default="[]"),
    Column("subscribed", Boolean, nullable=False, default=False),
    Column("owner", String(64)),
    Column("fallback", String(64)),
    Column("concurrency", Integer),
    Column("per_second", Float),
    Column("hours", Text, nullable=False, default="{}", server_default="{}"),
    Column("header_names", Text, nullable=False, default="[]", server_default="[]"),
    Column("version", Integer, nullable=False, default=1, server_default="1"),
    Column("changed_at", Moment),
    Column("changed_by", Text),
    Column("state", String(16), nullable=False),
    Column("disabled_because", Text),
    Column("created_at", Moment, nullable=False),
    Column("failures", Integer, nullable=False, default=0),
    Column("failing_since", Moment),
    Column("told_failing", Boolean, nullable=False, default=False),
    Column("paused_until", Moment),
    Column("next_send_wall", Moment),
)
"""`options` are the settings that only this kind has, as JSON without secrets; the values of the headers in `header_names` are
secrets. `hours` says when it may be sent messages; empty: always. The columns from `failures` on are the
health of the endpoint, which all replicas share."""

secrets = Table(
    "secrets",
    metadata,
    Column("id", _NUMBER, primary_key=True),
    Column("endpoint", String(64), ForeignKey("endpoints.name", ondelete="CASCADE"), nullable=False, index=True),
    Column("purpose", String(16), nullable=False, default="signing"),
    Column("secret", Sealed, nullable=False),
    Column("ends_wall", Moment),
)
"""A table of their own, so that no list of endpoints shows one by mistake. Several may sign while one is rotated out."""

_LEASED: Final = text("lease_ends_wall IS NOT NULL")

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("endpoint", String(64), nullable=False),
    Column("incident", String(64), ForeignKey("incidents.id")),
    Column("sequence", Integer),
    Column("cause", String(64), nullable=False),
    Column("type", String(64), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("state", String(16), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("created_wall", Moment, nullable=False),
    Column("next_attempt_at", Moment, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("tries", Integer, nullable=False, default=0),
    Column("fell_back", Boolean, nullable=False, default=False),
    Column("lease_owner", String(128)),
    Column("lease_ends_wall", Moment),
    Column("finished_at", Moment),
    Column("outcome", String(32)),
    Column("superseded_by", String(64)),
    Column("waits_since", Moment),
    Column("reference", String(64)),
    Index("deliveries_due", "state", "next_attempt_at"),
    Index("deliveries_of_incident", "incident"),
    Index("deliveries_newest", "created_at", "id"),
    Index("deliveries_of_endpoint", "endpoint", "state", "next_attempt_at"),
    Index("deliveries_leased", "lease_ends_wall", sqlite_where=_LEASED, postgresql_where=_LEASED),
)
"""`id` is the `webhook-id`, for ever. `attempts` counts all attempts, `tries` is the place in the retry schedule.

`cause` is the same for all deliveries of one message; `fell_back` says that the endpoint's fallback got it too.
`superseded_by` is the delivery that stands for this one. `waits_since` is since when its receiver should have it, if that is
not its own time: an older message that it stands for was made then, or the endpoint's hours begin then. `reference` is what
its receiver calls the message, where messages can be changed."""

attempts = Table(
    "attempts",
    metadata,
    Column("id", _NUMBER, primary_key=True),
    Column("delivery", String(64), ForeignKey("deliveries.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("begun_at", Moment, nullable=False),
    Column("begun_wall", Moment, nullable=False),
    Column("ended_at", Moment),
    Column("outcome", String(32), nullable=False),
    Column("status", Integer),
    Column("detail", Text),
    Column("seconds_micro", BigInteger),
    UniqueConstraint("delivery", "number"),
)
"""Written as `begun` before the request is made, completed after it. What a crash leaves `begun` becomes `unknown`."""

standing = Table(
    "standing",
    metadata,
    Column("endpoint", String(64), ForeignKey("endpoints.name", ondelete="CASCADE"), primary_key=True),
    Column("incident", String(64), primary_key=True),
    Column("sequence", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("made_wall", Moment, nullable=False),
    Column("due_wall", Moment, nullable=False),
    Column("ends_wall", Moment),
    Index("standing_due", "due_wall"),
)
"""What an Alertmanager is sent again and again: the newest state that it accepted, until shortly after the end."""

tickets = Table(
    "tickets",
    metadata,
    Column("endpoint", String(64), ForeignKey("endpoints.name", ondelete="CASCADE"), primary_key=True),
    Column("subject", String(64), primary_key=True),
    Column("incident", String(64)),
    Column("ticket", String(200)),
    Column("shown", String(200)),
    Column("url", Text),
    Column("fields", Text, nullable=False, default="{}", server_default="{}"),
    Column("said", String(16), nullable=False, default="", server_default=""),
    Column("made", Boolean, nullable=False, default=False, server_default=false()),
    Column("asked_wall", Moment),
    Column("asked_sequence", Integer),
    Column("touched_at", Moment, nullable=False),
    Index("tickets_of_incident", "incident"),
    Index("tickets_by_id", "endpoint", "ticket"),
)
"""The ticket about each incident, or about a delivery that is about none (`subject`), at each endpoint that keeps tickets.
`ticket` is its id there, `shown` what people know it by, and `fields`, as JSON, all that was kept of answers. `said` is what
was done to it last. `asked_wall` says since when it may have been made without our knowing its id, and `made` that it was.
`incident` is no foreign key: a claim would wait for whoever changes the incident, who may wait for the claim."""

inbound = Table(
    "inbound",
    metadata,
    Column("endpoint", String(64), primary_key=True),
    Column("event", String(200), primary_key=True),
    Column("at_wall", Moment, nullable=False),
    Index("inbound_old", "at_wall"),
)
"""Events that receivers sent back, by id, so that one that is repeated changes nothing."""

installation = Table(
    "installation",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", SealedBytes, nullable=False),
)
"""Keys that all replicas share, made by the first of them."""

publications = Table(
    "publications",
    metadata,
    Column("id", _NUMBER, primary_key=True),
    Column("topic", String(128), nullable=False),
    Column("key", Text, nullable=False),
    Column("value", LargeBinary, nullable=False),
    Column("created_at", Moment, nullable=False),
)
"""What is to be appended to the event log, in order and at least once. A row is deleted once the log has it."""

keys = Table(
    "keys",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("scope", String(16), nullable=False),
    Column("brands", Text, nullable=False, default="[]"),
    Column("created_by", String(64), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("ends_wall", Moment),
    Column("revoked_wall", Moment),
)
"""API keys, by the SHA-256 of each. A revoked key stays, so that its name is not used again."""

audit = Table(
    "audit",
    metadata,
    Column("id", _NUMBER, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("actor", Text, nullable=False),
    Column("what", String(64), nullable=False),
    Column("subject", Text, nullable=False),
    Column("brand", String(64)),
    Column("detail", Text, nullable=False),
    Index("audit_newest", "at", "id"),
)
"""The audit log. Rows are only ever added."""

sessions = Table(
    "sessions",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("key", String(64), nullable=False),
    Column("person", Text, nullable=False),
    Column("ends_wall", Moment, nullable=False),
)
"""Who is signed in to the console, by SHA-256 of the cookie. `key` is the SHA-256 of the API key that they used."""

sources = Table(
    "sources",
    metadata,
    Column("network", String(64), primary_key=True),
    Column("connector", String(64), primary_key=True),
    Column("brand", String(64), primary_key=True),
    Column("heard_at", Moment),
    Column("every_seconds", Float),
    Column("gap_begins", Moment),
    Column("gap_ends", Moment),
    Column("reason", Text, nullable=False, server_default=""),
    Column("reported_at", Moment, nullable=False),
)
"""What connectors report of their networks: the last heartbeat, how soon the next one was promised, and the newest gap. `brand`
is empty where a connector watches for all."""

volumes = Table(
    "volumes",
    metadata,
    Column("brand", String(64), primary_key=True),
    Column("hour", Moment, primary_key=True),
    Column("posts", Integer, nullable=False),
    Column("scored", Integer, nullable=False),
    Column("negative", Integer, nullable=False),
    Index("volumes_by_hour", "hour"),
)
"""How many posts about a brand there were in an hour, summed over the scorer's lanes."""
