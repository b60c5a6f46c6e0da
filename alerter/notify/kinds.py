"""Checks the settings of an endpoint against what its kind needs. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from alerter.notify.formats.ntfy import TOPIC_URL
from alerter.notify.formats.pagerduty import EVENTS_URL
from alerter.notify.formats.telegram import TELEGRAM_URL
from alerter.notify.outlet import Kind
from alerter.notify.tickets.setup import TicketSetup

LabelName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]{0,63}$")]
LabelValue = Annotated[str, StringConstraints(min_length=1, max_length=200)]
FieldPath = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+){0,5}$", max_length=200)]
PeerUrl = Annotated[str, StringConstraints(max_length=2000)]


class Options(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AlertmanagerOptions(Options):
    peers: tuple[PeerUrl, ...] = Field(
        (), max_length=16, description="base URLs of the other members of the cluster, which are all sent the alerts"
    )
    labels: dict[LabelName, LabelValue] = Field({}, max_length=20, description="additional labels for every alert")
    resend_seconds: Annotated[float, Field(ge=1, le=3600)] = Field(
        60, description="how often a firing alert is sent again"
    )
    stands_minutes: Annotated[float, Field(ge=0.05, le=1440)] = Field(
        10, description="how long an alert fires if it is not sent again"
    )


class TelegramOptions(Options):
    chat: Annotated[str, StringConstraints(pattern=r"^(-?[0-9]{1,20}|@[A-Za-z][A-Za-z0-9_]{3,63})$")] = Field(
        description="the id of the chat, or the @name of a public group or channel"
    )
    thread: Annotated[int, Field(ge=1)] | None = Field(None, description="the topic of a group that has topics")


class AppriseOptions(Options):
    """Which fields a service for text messages has in what it sends to /v1/inbound/sms/NAME, where it is none that is known.
    A dot leads into an object."""

    sender_field: FieldPath | None = None
    text_field: FieldPath | None = None
    id_field: FieldPath | None = None


class AlertmanagerWebhookOptions(Options):
    receiver: Annotated[str, StringConstraints(min_length=1, max_length=100)] = "firebreak"


@dataclass(frozen=True, slots=True)
class Traits:
    """What a kind of endpoint has and needs."""

    options: type[BaseModel] = Options
    url: str | None = None
    """The default URL."""
    key: re.Pattern[str] | None = None
    """What a key looks like, or `None` if the kind has no key."""
    key_words: str = ""
    key_needed: bool = False
    signs: bool = False
    http: bool = True
    per_second: float | None = None
    inbound: bool = False
    url_like: re.Pattern[str] | None = None
    """What a URL looks like, where it says more than where to send to."""
    url_words: str = ""
    changes: bool = False
    """Whether a message that was sent can be changed."""
    is_record: bool = False
    """Whether each message is data that its receiver keeps, all of them in their order. The others are for people, or for
    tools that show people a state: there the newest message about an incident stands for older ones that were not sent."""


TRAITS: Final[Mapping[Kind, Traits]] = {
    Kind.WEBHOOK: Traits(signs=True, is_record=True),
    Kind.PAGERDUTY: Traits(
        url=EVENTS_URL,
        key=re.compile(r"[0-9a-zA-Z]{32}"),
        key_words="a PagerDuty routing key has 32 letters and digits",
        key_needed=True,
        inbound=True,
    ),
    Kind.ALERTMANAGER: Traits(options=AlertmanagerOptions),
    Kind.ALERTMANAGER_WEBHOOK: Traits(
        options=AlertmanagerWebhookOptions,
        key=re.compile(r"[\x21-\x7e]{1,500}"),
        key_words="a bearer token has 1 to 500 printable ASCII characters",
    ),
    # One message a second, says their documentation; more get a 429.
    Kind.SLACK: Traits(per_second=1.0, inbound=True),
    Kind.TEAMS: Traits(per_second=4.0),
    # One message a second to a chat, says their documentation.
    Kind.TELEGRAM: Traits(
        options=TelegramOptions,
        url=TELEGRAM_URL,
        key=re.compile(r"[0-9]{3,20}:[A-Za-z0-9_-]{20,100}"),
        key_words="a bot's token has digits, a colon, and 20 or more letters and digits",
        key_needed=True,
        per_second=1.0,
        inbound=True,
        changes=True,
    ),
    Kind.NTFY: Traits(
        key=re.compile(r"[\x21-\x7e]{1,500}"),
        key_words="an access token has 1 to 500 printable ASCII characters",
        url_like=TOPIC_URL,
        url_words="ends with the topic, and has nothing behind it: https://ntfy.example.com/on-call",
    ),
    Kind.APPRISE: Traits(http=False, options=AppriseOptions, inbound=True),
    Kind.HTTP: Traits(options=TicketSetup, inbound=True),
}


HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
HEADER_VALUE: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,3998}[\x21-\x7e])?")
_OURS: Final = re.compile(
    r"host|connection|content-.*|transfer-encoding|te|trailer|upgrade|expect|keep-alive|proxy-.*|webhook-.*"
)
"""Headers that we set ourselves, or that would change where a request ends or leads."""


BEARERS: Final = frozenset({Kind.ALERTMANAGER_WEBHOOK, Kind.NTFY})
"""Kinds whose key is sent as a bearer token."""


class BadSetup(ValueError):
    """A setting does not fit the kind of endpoint. `at` names the field, and the message never contains a secret."""

    def __init__(self, at: str, why: str) -> None:
        super().__init__(f"{at}: {why}")
        self.at = at
        self.why = why


def checked_options(kind: Kind, given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the options with all defaults filled in. Raises `BadSetup` if one is wrong or unknown."""
    from pydantic import ValidationError

    try:
        model = TRAITS[kind].options.model_validate(dict(given))
        return model.model_dump(mode="json", by_alias=True, exclude_unset=kind is Kind.HTTP)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise BadSetup(".".join(("options", *map(str, first["loc"]))), first["msg"]) from None


def check_key(kind: Kind, key: str | None) -> None:
    """Raises `BadSetup` if the key is missing or malformed, or the kind has no key."""
    traits = TRAITS[kind]
    if key is None:
        if traits.key_needed:
            raise BadSetup("key", f"is needed: {traits.key_words}")
    elif traits.key is None:
        raise BadSetup("key", f"endpoints of kind {kind} have no key")
    elif not traits.key.fullmatch(key):
        raise BadSetup("key", traits.key_words)


def check_headers(kind: Kind, headers: Mapping[str, str], key: str | None) -> dict[str, str]:
    """Returns the headers under their names in small letters. Raises `BadSetup` if a request cannot have one."""
    if headers and not TRAITS[kind].http:
        raise BadSetup("headers", f"an endpoint of kind {kind} has none: its URL says how it is reached")
    found: dict[str, str] = {}
    for name, value in headers.items():
        small = name.lower()
        if not HEADER_NAME.fullmatch(name) or _OURS.fullmatch(small) or small in found:
            raise BadSetup("headers", "has a name that is malformed, twice there, or set by us")
        if not HEADER_VALUE.fullmatch(value):
            raise BadSetup(f"headers.{small}", "has 1 to 4,000 printable ASCII characters, without blanks around them")
        found[small] = value
    if "authorization" in found and key is not None and kind in BEARERS:
        raise BadSetup("headers.authorization", "and the key are the same header: one of them is enough")
    return found
