"""A recipe: how the tickets of one system are opened, found, changed and closed, and what it says back. Pure, but for the
files.

The shipped ones are the YAML files in `recipes/`; an endpoint may bring its own, in the same form. All of it is checked
when it is set up. A recipe says who gives a ticket its id. With `id: key` it is our own key, and the system itself makes no
second ticket for it. With `id: answer` it stands in the answer, and the recipe says how a ticket is found by our key,
because an answer may get lost on its way to us.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Final, Literal

from pydantic import Field, JsonValue, StringConstraints, model_validator

from alerter.notify.tickets import templates
from alerter.notify.tickets.paths import Place
from services.config.section import Section

NAMES: Final = frozenset(
    {
        *(
            "key",
            "tag",
            "subject",
            "delivery",
            "incident",
            "sequence",
            "type",
            "brand",
            "rule",
            "severity",
            "status",
            "state",
        ),
        *("title", "because", "by_when", "who_has_it", "how_sure", "first_step", "reason", "was", "summary", "comment"),
        *("acknowledged_by", "network", "post_id", "at", "began", "links", "labels", "values", "ticket", "mark"),
    }
)
"""What a template may name: see `words.values`."""
TICKET_ID: Final = "ticket_id"
FOLDER: Final = "recipes"

Text = Annotated[str, StringConstraints(max_length=templates.MAX_TEMPLATE_CHARS)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,99}$")]
Words = Annotated[str, StringConstraints(min_length=1, max_length=2000)]
_OURS: Final = re.compile(
    r"(?i)authorization|host|connection|content-.*|transfer-encoding|proxy-.*|expect|upgrade|te|cookie"
)
"""Headers that are not the business of a recipe."""


class RecipeValue(Section):
    """What the owner of an endpoint fills in."""

    about: Words
    default: Text | None = Field(None, description="without one it must be given; may be empty")


class ItemOf(Section):
    """Which item of a list is meant: the first one whose `where` is that text, or is a list that holds it."""

    each: Place
    where: Place
    text: Text = "{{ key }}"


class TicketRequest(Section):
    """One request. `path` is put behind the endpoint's URL; its values cannot lead elsewhere."""

    method: Literal["GET", "POST", "PUT", "PATCH"] = "POST"
    path: Text
    headers: dict[HeaderName, Text] = Field({}, max_length=10)
    body: JsonValue = None
    item: ItemOf | None = None
    answer: dict[Name, Place] = Field({}, max_length=8, description="what is kept of the answer, and where it stands")


class Search(TicketRequest):
    """How a ticket of ours is found by its key."""

    method: Literal["GET", "POST", "PUT", "PATCH"] = "GET"
    settles_seconds: float = Field(
        0, ge=0, le=900, description="how long after a ticket was made the search may not know it"
    )


class Condition(Section):
    """`at` has one of these values, in any case of letters; without values: it has any."""

    at: Place
    any_of: tuple[Annotated[str, StringConstraints(max_length=200)], ...] = Field((), max_length=30)


DeedName = Literal["resolve", "acknowledge", "note"]


class Reaction(Section):
    """What is done here when all conditions hold; with `each`, when they do for one item of that list."""

    deed: DeedName = Field(alias="do")
    when: tuple[Condition, ...] = Field(min_length=1, max_length=10)
    each: Place | None = None
    text: Place | None = Field(None, description="of a note: what was written; of the others: a comment")


class Signature(Section):
    """How the system proves itself: the secret as a bearer token, or an HMAC-SHA256 of the body with it."""

    by: Literal["bearer", "hmac"]
    header: HeaderName = "Authorization"
    prefix: Annotated[str, StringConstraints(max_length=20)] = ""
    encoding: Literal["hex", "base64"] = "hex"
    timestamp: HeaderName | None = Field(
        None, description="a header with the time, which is signed in front of the body"
    )
    between: Annotated[str, StringConstraints(max_length=1)] = Field("", description="what stands between the two")


class Own(Section):
    """What we did ourselves: the value at `at` is the one that the endpoint's owner filled in for `value`."""

    at: Place
    value: Name


class Inbound(Section):
    """What comes back, and what it means here."""

    verify: Signature
    event: Place | None = Field(None, description="its id, so that a repeated one changes nothing")
    ticket: Place | None = None
    key: Place | None = Field(None, description="our own key, where the system says it")
    person: Place | None = None
    own: tuple[Own, ...] = Field((), max_length=4)
    labels: Place | None = Field(None, description="a list of texts")
    reactions: tuple[Reaction, ...] = Field((), max_length=20)

    @model_validator(mode="after")
    def _finds(self) -> Inbound:
        if self.ticket is None and self.key is None:
            raise ValueError("says neither where the ticket's id nor where our key stands")
        return self


class Recipe(Section):
    about: Words
    checked: Words | None = Field(None, description="against what its fields were checked")
    values: dict[Name, RecipeValue] = Field({}, max_length=30)
    id: Literal["answer", "key"] = "answer"
    create: TicketRequest
    find: Search | None = None
    update: TicketRequest | None = None
    acknowledge: TicketRequest | None = Field(None, description="without one: as `update`")
    close: TicketRequest | None = None
    reopen: TicketRequest | None = Field(None, description="without one: as `update`")
    test: TicketRequest | None = Field(None, description="without one a test message opens a ticket")
    shows: Name = Field(TICKET_ID, description="which part of the answer people know the ticket by")
    link: Text | None = Field(None, description="the page of the ticket, on the host of the endpoint's URL")
    inbound: Inbound | None = None

    @model_validator(mode="after")
    def _whole(self) -> Recipe:
        if self.id == "answer":
            if TICKET_ID not in self.create.answer or self.find is None or TICKET_ID not in self.find.answer:
                raise ValueError(
                    "with `id: answer`, `create` and `find` say where the answer has `ticket_id`: an answer may get lost"
                )
        elif self.find is not None:
            raise ValueError("with `id: key` nothing has to be found")
        for at, why in self._mistakes():
            raise ValueError(f"{at}: {why}")
        return self

    def _mistakes(self) -> Iterator[tuple[str, str]]:
        for name, request in self.requests():
            for at, source in (("path", request.path), *((f"headers.{n}", s) for n, s in request.headers.items())):
                if why := _mistake(source):
                    yield f"{name}.{at}", why
            if request.path and not request.path.startswith("/"):
                yield f"{name}.path", "begins with /, or is empty"
            if any(_OURS.fullmatch(header) for header in request.headers):
                yield f"{name}.headers", "has one that is set by us"
            if request.item is not None and (why := _mistake(request.item.text)):
                yield f"{name}.item.text", why
            try:
                templates.check_body(request.body, NAMES)
            except templates.BadTemplate as error:
                yield f"{name}.body", str(error)
        if self.link is not None and (why := _mistake(self.link)):
            yield "link", why
        for own in self.inbound.own if self.inbound is not None else ():
            if own.value not in self.values:
                yield "inbound.own", f"there is no value {own.value}"

    def requests(self) -> Iterator[tuple[str, TicketRequest]]:
        """Yields every request that it has, with its name."""
        for name in ("create", "find", "update", "acknowledge", "close", "reopen", "test"):
            request = getattr(self, name)
            if request is not None:
                yield name, request

    def filled_in(self, given: Mapping[str, str]) -> dict[str, str]:
        """Returns all its values, with the defaults. Raises `ValueError` if one is missing or unknown."""
        unknown = sorted(given.keys() - self.values.keys())
        if unknown:
            raise ValueError(f"there is no value {unknown[0]}; there are {', '.join(sorted(self.values)) or 'none'}")
        missing = [name for name, one in self.values.items() if name not in given and one.default is None]
        if missing:
            raise ValueError(f"{missing[0]} is needed: {self.values[missing[0]].about}")
        return {name: given.get(name, one.default or "") for name, one in self.values.items()}


def _mistake(source: str) -> str | None:
    try:
        templates.check(source, NAMES)
    except templates.BadTemplate as error:
        return str(error)
    return None


@cache
def shipped_names() -> tuple[str, ...]:
    """Returns the names of the shipped recipes."""
    folder = files("alerter.notify.tickets") / FOLDER
    return tuple(sorted(one.name.removesuffix(".yaml") for one in folder.iterdir() if one.name.endswith(".yaml")))


@cache
def shipped(name: str) -> Recipe:
    """Returns a shipped recipe. Raises `KeyError` if there is none of this name."""
    import yaml

    if name not in shipped_names():
        raise KeyError(name)
    text = (files("alerter.notify.tickets") / FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    found: Any = yaml.safe_load(text)
    return Recipe.model_validate(found)
