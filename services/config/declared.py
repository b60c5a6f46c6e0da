"""People, schedules and policies that were declared at run time, checked together with the file as one configuration.

What the file declares comes first: an item with the same id counts for nothing as long as the file has one. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple

from pydantic import ValidationError

from services.config.endpoint_names import endpoint_names
from services.config.loading import mistakes_in
from services.config.model import Config, Policy
from services.config.references import references
from services.config.rota import Responder, Schedule
from services.config.yaml_reading import Place


class RotaPart(StrEnum):
    """A section of the file whose items can be declared at run time, too."""

    RESPONDERS = "responders"
    SCHEDULES = "schedules"
    POLICIES = "policies"

    @property
    def one(self) -> str:
        """What one item is called."""
        return ONE[self]


Item = Responder | Schedule | Policy
SHAPES: Final[Mapping[RotaPart, type[Responder] | type[Schedule] | type[Policy]]] = {
    RotaPart.RESPONDERS: Responder,
    RotaPart.SCHEDULES: Schedule,
    RotaPart.POLICIES: Policy,
}
ONE: Final[Mapping[RotaPart, str]] = {
    RotaPart.RESPONDERS: "responder",
    RotaPart.SCHEDULES: "schedule",
    RotaPart.POLICIES: "policy",
}
MOST: Final = {RotaPart.RESPONDERS: 10_000, RotaPart.SCHEDULES: 1000, RotaPart.POLICIES: 1000}
"""Most items of the file and of the database together."""


class Mistake(NamedTuple):
    """What is wrong, and where: an item stands in `place` by its id, not by its number."""

    place: Place
    why: str

    @property
    def words(self) -> str:
        return f"{dotted(self.place)}: {self.why}"


@dataclass(frozen=True, slots=True)
class Whole:
    """The file and what was declared at run time. `hidden` are the items that count for nothing, because the file has one
    of that id."""

    config: Config
    hidden: tuple[tuple[RotaPart, str], ...] = ()
    mistakes: tuple[Mistake, ...] = ()


def read_item(part: RotaPart, document: Mapping[str, Any]) -> Item | list[Mistake]:
    """Returns the item that a document describes, or what is wrong with it. The places are those inside of the document."""
    try:
        return SHAPES[part].model_validate(dict(document))
    except ValidationError as error:
        # By its place in the file, so that a misspelt field is told which one was meant.
        return [Mistake(place[2:], why) for place, why in mistakes_in(error, (part.value, 0))]


def together(base: Config, items: Iterable[Item]) -> Whole:
    """Returns the configuration that the file and these items make, with all mistakes that no item shows alone."""
    declared = {part: [one.id for one in of(base, part)] for part in RotaPart}
    taken = {part: set(ids) for part, ids in declared.items()}
    added: dict[RotaPart, list[Item]] = {part: [] for part in RotaPart}
    hidden = []
    for item in items:
        part = part_of(item)
        if item.id in taken[part]:
            hidden.append((part, item.id))
        else:
            added[part].append(item)
    if not any(added.values()):
        return Whole(base, tuple(hidden))
    config = base.with_rota(*((*of(base, part), *added[part]) for part in RotaPart))  # type: ignore[arg-type]
    # An endpoint was looked up when the item was declared: the file's list is of what the file names.
    theirs = {one.name for one in endpoint_names(config)} - {one.name for one in endpoint_names(base)}
    mistakes = [Mistake(by_ids(config, place), why) for place, why in references(config, theirs)]
    mistakes += [
        Mistake((part.value,), f"{count:,} are more than the {MOST[part]:,} that there may be")
        for part in RotaPart
        if (count := len(of(config, part))) > MOST[part]
    ]
    return Whole(config, tuple(hidden), tuple(mistakes))


def of(config: Config, part: RotaPart) -> Sequence[Item]:
    """Returns the items of one section."""
    found: Sequence[Item] = getattr(config, part.value)
    return found


def part_of(item: Item) -> RotaPart:
    return next(part for part, shape in SHAPES.items() if isinstance(item, shape))


def find(config: Config, part: RotaPart, name: str) -> Item | None:
    """Returns the item with this id."""
    return next((item for item in of(config, part) if item.id == name), None)


def naming(config: Config, part: RotaPart, name: str) -> Iterator[Place]:
    """Yields every place that names this item."""
    if part is RotaPart.POLICIES:
        yield from (("rules", rule.id, "policy") for rule in config.rules if rule.policy == name)
        return
    target = f"{part.one}:{name}"
    for policy in config.policies:
        for number, step in enumerate(policy.steps):
            yield from (("policies", policy.id, "steps", number) for one in step.targets if one == target)
        yield from (("policies", policy.id, "fallback") for one in policy.fallback if one == target)
    if part is RotaPart.RESPONDERS:
        for schedule in config.schedules:
            for number, layer in enumerate(schedule.layers):
                if name in layer.responders:
                    yield ("schedules", schedule.id, "layers", number, "responders")
    for brand in config.brands:
        for number, account in enumerate(brand.accounts):
            if account.owner == name:
                yield ("brands", brand.id, "accounts", number, "owner")


def naming_endpoint(config: Config, name: str) -> list[Place]:
    """Returns every place that names this endpoint."""
    return [by_ids(config, one.place) for one in endpoint_names(config) if one.name == name]


def missing(config: Config) -> list[tuple[RotaPart, str]]:
    """Returns what the file says is created at run time, and is not there."""
    return [
        (part, name)
        for part in RotaPart
        for name in getattr(config.at_run_time, part.value)
        if find(config, part, name) is None
    ]


def by_ids(config: Config, place: Place) -> Place:
    """Returns the place with the id of the item instead of its number, which changes when others come and go."""
    if len(place) > 1 and isinstance(place[1], int):
        item = getattr(config, str(place[0]))[place[1]]
        return (place[0], getattr(item, "id", place[1]), *place[2:])
    return place


def dotted(place: Place) -> str:
    return ".".join(map(str, place))
