"""What the API takes and gives, with examples. No field of any answer but `Created.secret` and `KeyCreated.key`
holds a secret."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, SecretStr, StringConstraints, model_validator

from alerter.api.scopes import Scope
from alerter.incidents.outcomes import Worth
from alerter.notify.hours import Hours
from alerter.notify.outlet import Kind
from alerter.silences.matching import Covers, Matcher
from alerter.states import DeliveryState, EndpointState, StepState, TellReason
from services.base.rfc3339 import Rfc3339
from services.config.model import Policy
from services.config.rota import Target
from services.config.section import Slug
from services.contracts.base import BrandId
from services.contracts.incident import MAX_LABELS, MAX_NOTE_CHARS, Incident, OutcomeMark

IncidentKey = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
DeliveryKey = Annotated[str, StringConstraints(pattern=r"^msg_[0-9a-f]{32}$")]
Person = Annotated[
    str,
    StringConstraints(pattern=r"^[^\x00-\x20\x7f][^\x00-\x1f\x7f]{0,99}$"),
    Field(description="who is doing this, as others will see it", examples=["dana"]),
]
Comment = Annotated[
    str, StringConstraints(pattern=r"^[^\x00]*$", max_length=1000), Field(examples=["calling the customer now"])
]


Actor = Annotated[str, StringConstraints(pattern=r"^[^\x00]+$", max_length=100)]
Brands = Annotated[
    tuple[Slug, ...],
    Field(max_length=1000, description="only these brands; empty: every brand that your key can see"),
]


Instant = Annotated[Rfc3339, Field(ge=datetime(1970, 1, 2, tzinfo=UTC), le=datetime(9000, 1, 1, tzinfo=UTC))]
Matchers = Annotated[tuple[Matcher, ...], Field(min_length=1, max_length=20)]


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Severity = Annotated[int, Field(ge=1, le=4)]
TypePattern = Annotated[
    str,
    StringConstraints(pattern=r"^(incident|endpoint|post|answer|config|log)\.([a-z]+|\*)$"),
    Field(examples=["incident.*"]),
]


Headers = Annotated[
    dict[Annotated[str, StringConstraints(max_length=100)], SecretStr],
    Field(max_length=20, description="headers of each request; their values are never shown"),
]


Concurrency = Annotated[int, Field(ge=1, le=64)]
PerSecond = Annotated[float, Field(ge=0.01, le=1000)]


class AuthIn(Shape):
    """How we prove to a receiver who we are: a bearer token, or a user and a password. Never shown."""

    bearer: SecretStr | None = None
    user: Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f:]+$", max_length=200)] | None = None
    password: SecretStr | None = None

    @model_validator(mode="after")
    def _one_way(self) -> AuthIn:
        basic = (self.user is not None, self.password is not None)
        if basic not in ((True, True), (False, False)) or (self.bearer is not None) is all(basic):
            raise ValueError("give a bearer token, or a user and a password")
        return self


class EndpointIn(Shape):
    """Where messages go, and which ones."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"name": "contact-centre", "url": "https://hooks.example.com/firebreak", "brands": ["acme"]},
                {"name": "on-call", "kind": "pagerduty", "key": "0123456789abcdef0123456789abcdef"},
            ]
        }
    )
    name: Slug = Field(description="the name that policies use", examples=["contact-centre"])
    kind: Kind = Field(Kind.WEBHOOK, description="what receives the messages")
    url: str | None = Field(
        None,
        max_length=2000,
        description="treated as a secret; optional for PagerDuty and Telegram",
        examples=["https://hooks.example.com/x"],
    )
    key: SecretStr | None = Field(
        None,
        description="PagerDuty: the routing key; Telegram: the bot's token; alertmanager_webhook and ntfy: a bearer token",
    )
    inbound_secret: SecretStr | None = Field(
        None,
        description="proves what comes back to /v1/inbound/KIND/NAME (`sms` for apprise, `ticket` for http): the secret of "
        "PagerDuty's or Telegram's webhook or of a system with tickets, Slack's signing secret, Twilio's auth token, or a "
        "token that another service sends",
        min_length=16,
        max_length=500,
    )
    headers: Headers = {}
    auth: AuthIn | None = Field(None, description="sent as the header `authorization`; not for kinds without HTTP")
    hours: Hours = Field(
        Hours(), description="when it may be sent messages; what comes at another time waits, unless it is severity 1"
    )
    options: dict[str, Any] = Field({}, max_length=20, description="settings that only this kind has")
    description: Comment = ""
    brands: Brands = ()
    severities: tuple[Severity, ...] = Field((), max_length=4, description="for a subscriber: only these; empty: all")
    types: tuple[TypePattern, ...] = Field((), max_length=20, description="for a subscriber: only these; empty: all")
    subscribed: bool = Field(False, description="gets everything it asks for, whether or not a policy names it")
    owner: Slug | None = Field(None, description="the endpoint that is told when this one fails or is disabled")
    fallback: Slug | None = Field(
        None, description="gets what this one did not accept within three attempts or a minute"
    )
    concurrency: Concurrency | None = Field(None, description="requests at a time, per process; null: 16")
    per_second: PerSecond | None = Field(None, description="requests per second, over all processes")


class EndpointChange(Shape):
    """What of an endpoint is to be another from now on. What is left out stays; its queue and its other secrets stay too."""

    url: str | None = Field(None, max_length=2000, description="messages that wait go there, too; null: as it is")
    key: SecretStr | None = Field(None, description="in place of the one it had; null: as it is")
    inbound_secret: SecretStr | None = Field(None, min_length=16, max_length=500, description="null: as it is")
    headers: Headers | None = Field(None, description="in place of all that it had, its authorization included")
    auth: AuthIn | None = None
    hours: Hours | None = None
    options: dict[str, Any] | None = Field(None, max_length=20, description="in place of all that it had")
    description: Comment | None = None
    brands: Brands | None = None
    severities: tuple[Severity, ...] | None = Field(None, max_length=4)
    types: tuple[TypePattern, ...] | None = Field(None, max_length=20)
    subscribed: bool | None = None
    owner: Slug | None = Field(None, description="null takes it away, as with the three fields below")
    fallback: Slug | None = None
    concurrency: Concurrency | None = None
    per_second: PerSecond | None = None


class Attempt(Shape):
    number: int
    begun_at: datetime
    ended_at: datetime | None
    outcome: str = Field(description="begun, delivered, refused, gone, timeout, unreachable, blocked or unknown")
    status: int | None
    detail: str | None = Field(description="the start of the response body, or what went wrong")
    seconds: float | None


def attempt_of(row: Any) -> Attempt:
    """A row of `attempts` as it is shown."""
    return Attempt(
        number=row.number,
        begun_at=row.begun_at,
        ended_at=row.ended_at,
        outcome=row.outcome,
        status=row.status,
        detail=row.detail,
        seconds=None if row.seconds_micro is None else row.seconds_micro / 1e6,
    )


class Endpoint(Shape):
    name: str
    kind: Kind
    target: str = Field(description="scheme and host of the URL; the rest may contain a secret and is not shown")
    header_names: tuple[str, ...] = Field(
        description="those of the headers that it was set up with; values are secrets"
    )
    hours: Hours
    options: dict[str, Any]
    description: str
    brands: tuple[str, ...]
    severities: tuple[int, ...]
    types: tuple[str, ...]
    subscribed: bool
    owner: str | None
    fallback: str | None
    concurrency: int | None
    per_second: float | None
    state: EndpointState
    disabled_because: str | None = None
    failures: int = Field(description="in a row")
    failing_since: datetime | None = None
    paused_until: datetime | None = Field(None, description="no attempt before then, because all recent ones failed")
    waiting: int = Field(0, description="messages that wait for it")
    waiting_since: datetime | None = Field(None, description="since when the oldest of them does")
    last_answer: Attempt | None = Field(
        None, description="of one that fails or is disabled: the last attempt, and what it answered"
    )
    policies: tuple[str, ...] = Field((), description="the policies that may page it")
    created_at: datetime
    version: int = Field(1, description="counts its changes; also in `ETag`, for `If-Match`")
    changed_at: datetime | None = None
    changed_by: str | None = None


class Created(Endpoint):
    secret: str | None = Field(
        description="signs its webhooks (Standard Webhooks); shown only this once. Other kinds have none"
    )


class RotateIn(Shape):
    grace_hours: Annotated[float, Field(ge=0, le=168)] = Field(
        24, description="for how long the old secrets keep signing as well"
    )


class Rotated(Shape):
    secret: str = Field(description="shown only this once")
    old_ends_at: datetime = Field(description="until then the old secrets sign as well")


class ResendIn(Shape):
    since: Rfc3339 = Field(description="everything created since then that did not arrive")


class Resent(Shape):
    deliveries: int = Field(description="how many are being sent again")


class Endpoints(Shape):
    items: tuple[Endpoint, ...]


class KeyIn(Shape):
    """A key for the API. `read` can look, `respond` can also act on incidents, `admin` can also create endpoints and keys."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "contact-centre", "scope": "respond", "brands": ["acme"]}]}
    )
    name: Slug = Field(
        description="who holds it, as the audit log will show; a name can be used only once",
        examples=["contact-centre"],
    )
    scope: Scope
    brands: Brands = ()
    expires_at: Rfc3339 | None = Field(None, description="when it expires")


class Key(Shape):
    name: str
    scope: Scope
    brands: tuple[str, ...]
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class KeyCreated(Key):
    key: str = Field(description="the key itself; shown only this once")


class KeysOut(Shape):
    items: tuple[Key, ...]


class AuditedChange(Shape):
    """One change that somebody made."""

    at: datetime
    actor: str = Field(description="the name of the key it was made with")
    what: str = Field(examples=["endpoint.created"])
    on: str = Field(description="what was changed: an id or a name")
    brand: str | None
    detail: dict[str, JsonValue]


class Changes(Shape):
    items: tuple[AuditedChange, ...]
    next: str | None = Field(description="cursor of the next page; null on the last one")


class ActionIn(Shape):
    """What a person says with an action."""

    by: Person
    comment: Comment = ""


Minutes = Annotated[float, Field(ge=1, le=7 * 24 * 60, allow_inf_nan=False)]


class Acknowledgement(ActionIn):
    """Somebody takes the incident, for a while."""

    minutes: Minutes | None = Field(None, description="when it expires; by default as the policy says")


class Snooze(ActionIn):
    minutes: Minutes = Field(description="then the policy continues", examples=[30])


class PageIn(Shape):
    """Somebody pages others now, outside any policy."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"brand": "acme", "to": ["schedule:front"], "message": "The minister calls at nine.", "by": "dana"}
            ]
        }
    )
    brand: Slug = Field(description="whom it is about")
    to: tuple[Target, ...] = Field(min_length=1, max_length=20, description="as in the step of a policy")
    message: Annotated[str, StringConstraints(pattern=r"^[^\x00]*\S[^\x00]*$", max_length=1000)] = Field(
        description="what they are told"
    )
    by: Person
    severity: Severity = Field(2, description="decides by which of their notification rules people are told")
    id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")] | None = Field(
        None, description="a repeated request with the same id pages nobody twice"
    )


class PageOut(Shape):
    incident: Incident = Field(description="is acknowledged and resolved like any other")
    told: tuple[str, ...] = Field(description="the endpoints that the message goes to now")


class Reassignment(ActionIn):
    to: Person = Field(
        description="who should take it: the id or name of a responder, a schedule or an endpoint", examples=["lee"]
    )


class OutcomeIn(ActionIn):
    outcome: OutcomeMark


Label = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x20\x7f][^\x00-\x1f\x7f]{0,63}$")]


class NoteIn(ActionIn):
    """What the others should know. The note is the comment."""

    comment: Annotated[str, StringConstraints(pattern=r"^[^\x00]*\S[^\x00]*$", max_length=MAX_NOTE_CHARS)] = Field(
        examples=["the supplier confirms the batch"]
    )


class LabelsIn(ActionIn):
    """Labels to add, and labels to remove."""

    add: tuple[Label, ...] = Field((), max_length=MAX_LABELS)
    remove: tuple[Label, ...] = Field((), max_length=MAX_LABELS)


class LeadTimes(Shape):
    """Minutes from the first message to the moment an incident crossed the line. Negative: people were told too late."""

    of: int
    in_time: int
    median_minutes: float
    low_minutes: float = Field(description="a tenth had less than this")
    high_minutes: float = Field(description="a tenth had more than this")


class OutcomeSummary(Shape):
    incidents: int
    counts: dict[Worth, int]
    right: int = Field(description="marked useful or too late, or crossed without a mark")
    false: int = Field(description="marked a false alarm, or eased on its own and never crossed")
    apart: int = Field(description="answered before it crossed, or handled: nobody knows how it would have ended")
    precision: float | None = Field(description="right / (right + false); null while nothing is known")
    lead: LeadTimes | None


class Outcomes(Shape):
    """How good the alarms were that opened since then."""

    since: datetime
    total: OutcomeSummary
    rules: dict[str, OutcomeSummary]


class SilenceIn(Shape):
    """Keeps people from being told of incidents that match every matcher, for a stated time."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "matchers": [{"field": "brand", "values": ["acme"]}],
                    "ends_at": "2999-03-01T12:00:00Z",
                    "by": "dana",
                    "comment": "the new app is rolled out",
                }
            ]
        }
    )
    covers: Covers = Covers.ALL
    matchers: Matchers
    starts_at: Instant | None = Field(None, description="by default now")
    ends_at: Instant
    by: Person
    comment: Comment = ""


class SilenceChange(Shape):
    """What of a silence is to be another from now on. What is left out, or null, stays."""

    covers: Covers | None = None
    matchers: Matchers | None = None
    starts_at: Instant | None = Field(None, description="only of one that has not begun")
    ends_at: Instant | None = Field(None, description="must be in the future; DELETE ends it now")
    by: Person
    comment: Comment | None = None


class SilenceOut(Shape):
    id: str
    covers: Covers
    matchers: tuple[Matcher, ...]
    starts_at: datetime
    ends_at: datetime
    by: str
    comment: str
    created_at: datetime
    version: int = Field(description="counts its changes; also in `ETag`, for `If-Match`")
    changed_at: datetime | None
    changed_by: str | None


class Silences(Shape):
    items: tuple[SilenceOut, ...]


class Incidents(Shape):
    items: tuple[Incident, ...]
    next: str | None = Field(description="cursor of the next page; null on the last one")


class PlannedStep(Shape):
    number: int
    endpoints: tuple[str, ...]
    due_at: datetime | None = Field(description="of future steps, as planned now; null: nothing is planned")
    state: StepState | None
    done_at: datetime | None = None


class PlannedRing(Shape):
    """What a person who was paged is told next by their own rules, if nobody acknowledges."""

    step: int | None = Field(description="the number of the step that paged them; null: they were asked to take it")
    who: str
    method: str = Field(description="the endpoint")
    due_at: datetime


class TimelineEntry(Shape):
    """A decision, its reason, and the record that caused it."""

    sequence: int
    at: datetime
    kind: str
    because: str
    actor: str | None
    signal: str | None = Field(description="id of the signal on firebreak.signals")
    partition: int | None
    offset: int | None
    took_seconds: float | None = Field(description="real time from the record's append to this decision")
    tell: TellReason | None = Field(
        description="why people were told of this change, or why not; null before this was recorded"
    )


class Delivery(Shape):
    id: str = Field(description="the webhook-id")
    endpoint: str
    incident: str | None
    type: str
    state: DeliveryState
    created_at: datetime
    next_attempt_at: datetime | None
    finished_at: datetime | None
    superseded_by: str | None = Field(
        None, description="the delivery that stands for this one, which was not sent: it says what was and what is"
    )
    attempts: tuple[Attempt, ...]


class DeliveryShown(Delivery):
    body: dict[str, Any] = Field(
        description="our own message; for other kinds of endpoint it is put into the receiver's format"
    )


class Deliveries(Shape):
    items: tuple[Delivery, ...]
    next: str | None = Field(description="cursor of the next page; null on the last one")


class Queued(Shape):
    delivery: str = Field(description="the webhook-id that the receiver will see")


class Explanation(Shape):
    """Why there is an incident, what has been decided since, who was told and who is next."""

    incident: Incident
    how_sure: str
    by_when: str
    who_has_it: str
    untold: str | None = Field(None, description="why nobody was told of it, while nobody was")
    policy: Policy
    steps: tuple[PlannedStep, ...]
    rings: tuple[PlannedRing, ...]
    timeline: tuple[TimelineEntry, ...]
    deliveries: tuple[Delivery, ...]


class ProblemShape(BaseModel):
    """RFC 9457."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[dict[str, str]] | None = None


class Links(BaseModel):
    post: str | None = None
    reply: str | None = None
    incident: str | None = None
    acknowledge: str | None = None


class MessageData(Incident):
    """The incident as it is now, and in words what every message says."""

    model_config = ConfigDict(extra="allow")
    because: str = Field(description="what changed since the last message")
    state_words: str
    how_sure: str
    by_when: str
    who_has_it: str
    was: str | None = Field(
        None, description="what an older message said that was not delivered, and that this one stands for"
    )
    links: Links
    truncated: bool = Field(False, description="something was left out to stay below 20 kB")


class IncidentMessage(BaseModel):
    """Body of an `incident.*` webhook. `data.sequence` grows: ignore a message whose number is lower than
    one you have seen."""

    model_config = ConfigDict(json_schema_extra={"title": "incident.*"})
    type: str = Field(pattern=r"^incident\.(opened|updated|escalated|acknowledged|resolved)$")
    timestamp: datetime
    data: MessageData


class Redaction(BaseModel):
    incident: str
    brand: BrandId
    network: str
    post_id: str
    at: datetime
    because: str


class Edit(BaseModel):
    """What a post that was sent says now."""

    incident: str
    brand: BrandId
    network: str
    post_id: str
    at: datetime = Field(description="when it was edited; of two edits the later one stands")
    text: str | None = Field(
        description="its new words; null where there are none, or the network's terms keep them in"
    )
    taken_back: bool = Field(description="it no longer complains, asks or speaks of danger")
    because: str


class EndpointNews(BaseModel):
    endpoint: str
    because: str
    failing_since: datetime | None = None
    waiting: int = Field(0, description="messages waiting for it")


class EndpointMessage(BaseModel):
    """Body of an `endpoint.*` webhook: an endpoint that you own is failing, works again, was disabled, or is being tested."""

    type: str = Field(pattern=r"^endpoint\.(failing|recovered|disabled|test)$")
    timestamp: datetime
    data: EndpointNews


class ConfigTrouble(BaseModel):
    """What is the matter with the configuration file."""

    file: str
    because: str
    version: str = Field(description="which version is in force, also after a restart")
    mistakes: tuple[str, ...] = Field((), max_length=10, description="the first of them, with file, line and field")


class ConfigMessage(BaseModel):
    """Body of a `config.*` webhook: the configuration file cannot be taken, or it was mended."""

    type: str = Field(pattern=r"^config\.(refused|accepted)$")
    timestamp: datetime
    data: ConfigTrouble


class LogTrouble(BaseModel):
    """What is the matter with the event log."""

    because: str
    stage: str = Field(description="which part of the installation reads there")
    partition: int
    position: int = Field(description="up to where the stage was said to have dealt with everything")
    goes_on_at: int = Field(description="where reading goes on")


class LogMessage(BaseModel):
    """Body of a webhook about the event log. `log.restored`: it or what a stage knows was restored, or it is another one; what
    it got after the last record that was dealt with is read. `log.dropped`: records were dropped before a stage had read
    them. Look whether posts were lost."""

    type: str = Field(pattern=r"^log\.(restored|dropped)$")
    timestamp: datetime
    data: LogTrouble


class EditMessage(BaseModel):
    """Body of a `post.edited` webhook: this post has other words now, correct your copies."""

    type: str = Field(pattern=r"^post\.edited$")
    timestamp: datetime
    data: Edit


class RedactionMessage(BaseModel):
    """Body of a `post.redacted` webhook: forget this post's text and author."""

    type: str = Field(pattern=r"^post\.redacted$")
    timestamp: datetime
    data: Redaction


Json = dict[str, Any]
