"""What each kind of endpoint is set up with, checked before it is taken. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from alerter.notify.formats.pagerduty import EVENTS_URL
from alerter.notify.outlet import Kind

LabelName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]{0,63}$")]
LabelValue = Annotated[str, StringConstraints(min_length=1, max_length=200)]
PeerUrl = Annotated[str, StringConstraints(max_length=2000)]


class Options(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AlertmanagerOptions(Options):
    peers: tuple[PeerUrl, ...] = Field(
        (), max_length=16, description="base URLs of the other members of the cluster: each is told itself"
    )
    labels: dict[LabelName, LabelValue] = Field({}, max_length=20, description="further labels of every alert")
    resend_seconds: Annotated[float, Field(ge=1, le=3600)] = Field(
        60, description="a firing alert is sent again so often"
    )
    stands_minutes: Annotated[float, Field(ge=0.05, le=1440)] = Field(
        10, description="it ends by itself when it is not sent again for so long"
    )


class AlertmanagerWebhookOptions(Options):
    receiver: Annotated[str, StringConstraints(min_length=1, max_length=100)] = "firebreak"


@dataclass(frozen=True, slots=True)
class Traits:
    """What a kind asks for."""

    options: type[Options] = Options
    url: str | None = None
    """Where it leads when nothing else is said."""
    key: re.Pattern[str] | None = None
    """What a key looks like; `None`: it has none."""
    key_words: str = ""
    key_needed: bool = False
    signs: bool = False
    http: bool = True
    per_second: float | None = None
    inbound: bool = False
    stateful: bool = False
    """Its receiver keeps a state: an older message must not follow a newer one."""


TRAITS: Final[Mapping[Kind, Traits]] = {
    Kind.WEBHOOK: Traits(signs=True),
    Kind.PAGERDUTY: Traits(
        url=EVENTS_URL,
        key=re.compile(r"[0-9a-zA-Z]{32}"),
        key_words="a PagerDuty routing key has 32 letters and digits",
        key_needed=True,
        inbound=True,
        stateful=True,
    ),
    Kind.ALERTMANAGER: Traits(options=AlertmanagerOptions, stateful=True),
    Kind.ALERTMANAGER_WEBHOOK: Traits(
        options=AlertmanagerWebhookOptions,
        key=re.compile(r"[\x21-\x7e]{1,500}"),
        key_words="a bearer token has 1 to 500 printable ASCII characters",
        stateful=True,
    ),
    # One message a second, by their documentation; more is answered 429.
    Kind.SLACK: Traits(per_second=1.0),
    Kind.TEAMS: Traits(per_second=4.0),
    Kind.APPRISE: Traits(http=False),
}


class BadSetup(ValueError):
    """`at` names the field."""

    def __init__(self, at: str, why: str) -> None:
        super().__init__(f"{at}: {why}")
        self.at = at
        self.why = why


def checked_options(kind: Kind, given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of this kind, complete. Raises `BadSetup`."""
    from pydantic import ValidationError

    try:
        return TRAITS[kind].options.model_validate(dict(given)).model_dump(mode="json")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise BadSetup(".".join(("options", *map(str, first["loc"]))), first["msg"]) from None


def check_key(kind: Kind, key: str | None) -> None:
    """Raises `BadSetup`, without the key in it."""
    traits = TRAITS[kind]
    if key is None:
        if traits.key_needed:
            raise BadSetup("key", f"is needed: {traits.key_words}")
    elif traits.key is None:
        raise BadSetup("key", f"an endpoint of the kind {kind} has none")
    elif not traits.key.fullmatch(key):
        raise BadSetup("key", traits.key_words)
