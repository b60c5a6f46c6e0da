"""The configuration by which the alerter works: the file, and beside it what was declared at run time.

The other services need none of it, so only the alerter makes it. A file that does not go with what was declared is refused
like one with a mistake, and the last good one stays in force. What is in the database already is taken whatever is wrong with
it, and that is said loudly: a person who is missing from a schedule must not take the schedule away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from alerter.oncall.declarations import Declaration, held, revision
from alerter.store import at_rest
from alerter.store.database import Database
from services.base.errors import ConfigError
from services.base.settings import Settings
from services.config.current import CurrentConfig, Derived
from services.config.declared import Item, Mistake, RotaPart, Whole, dotted, missing, part_of, read_item, together
from services.config.model import Config
from services.runtime.lifecycle import ServiceContext

logger = structlog.get_logger()

UNREAD: Final = "cannot be used by this version of Firebreak"


@dataclass(frozen=True, slots=True)
class Held:
    """What the database holds: the newest change's number, each item's newest version, and the items that they describe."""

    revision: int = 0
    declarations: tuple[Declaration, ...] = ()
    items: tuple[Item, ...] = ()
    unread: tuple[Mistake, ...] = ()

    @classmethod
    def of(cls, number: int, declarations: Sequence[Declaration]) -> Held:
        items: list[Item] = []
        unread: list[Mistake] = []
        for one in declarations:
            item = read_item(one.part, one.document or {})
            if isinstance(item, list):
                unread += [Mistake((one.part.value, one.id, *found.place), f"{UNREAD}: {found.why}") for found in item]
            else:
                items.append(item)
        return cls(number, tuple(declarations), tuple(items), tuple(unread))

    def find(self, part: RotaPart, name: str) -> Declaration | None:
        return next((one for one in self.declarations if (one.part, one.id) == (part, name)), None)

    def item(self, part: RotaPart, name: str) -> Item | None:
        return next((one for one in self.items if one.id == name and part_of(one) is part), None)

    def without(self, part: RotaPart, name: str) -> list[Item]:
        """Returns the items but this one."""
        return [one for one in self.items if one.id != name or part_of(one) is not part]


class DeclaredConfig:
    """Holds what the database said last, and the configuration that this makes with the file in force."""

    def __init__(self, current: CurrentConfig) -> None:
        self._current = current
        self.held = Held()
        self._whole: Derived[Whole] = current.derive(self._of_file)

    @property
    def whole(self) -> Whole:
        return self._whole.now

    @property
    def file_name(self) -> str:
        """What the file is called towards people who may not change what it declares."""
        return self._current.file_name or "the configuration file"

    async def look(self, database: Database) -> bool:
        """Take what the database holds, if that is something new. Returns True if it is. Raises `DatabaseAway`."""
        if await database.read(revision) == self.held.revision:
            return False
        found = Held.of(*await database.read(held))
        if found.revision <= self.held.revision:
            return False  # another look was faster, and saw more
        await self._current.remake(self._whole, lambda config: _taken(config, found))
        self.held = found
        _say_what_is_wrong(self.whole)
        return True

    def with_item(self, part: RotaPart, name: str, item: Item | None) -> Whole:
        """Returns what the configuration would be with another version of this item, or without it."""
        rest = self.held.without(part, name)
        return together(self._current.config, [*rest, item] if item is not None else rest)

    def _of_file(self, config: Config) -> Whole:
        """Raises `ConfigError` if this file brings about mistakes that there were not before."""
        held = self.held
        made = _taken(config, held)
        known = {mistake.place for mistake in self.whole.mistakes} if held.revision else set()
        if new := [mistake for mistake in made.mistakes if mistake.place not in known]:
            words = (f"{self.file_name}: with what was declared at run time: {mistake.words}" for mistake in new)
            raise ConfigError("\n".join(words))
        for part, name in made.hidden:
            logger.warning("declared_twice", what=f"{part.one} {name}", so="what the file says counts")
        return made


@dataclass(frozen=True, slots=True)
class AlerterContext(ServiceContext):
    """What the alerter is built from, with the configuration that counts for it."""

    declared: DeclaredConfig

    @property
    def config(self) -> Config:
        return self.declared.whole.config

    @classmethod
    def of(cls, context: ServiceContext) -> AlerterContext:
        parts = (context.settings, context.current, context.log, context.clock, context.registry, context.metrics)
        return cls(*parts, DeclaredConfig(context.current))


def findings(whole: Whole) -> list[str]:
    """Returns what is wrong with the configuration as a whole, in words, for the start and `firebreak doctor`."""
    said = [f"declared at run time: {mistake.words}" for mistake in whole.mistakes]
    said += [
        f"{part.one} {name} is declared in the file and at run time: what the file says counts"
        for part, name in whole.hidden
    ]
    for part, name in missing(whole.config):
        then = "every endpoint is told instead" if part is RotaPart.POLICIES else "nobody is reached by it"
        said.append(f"{dotted(('at_run_time', part.value))}: there is no {part.one} {name} yet: {then}")
    return said


def of_settings(settings: Settings, config: Config) -> Whole:
    """Returns the file's configuration with what the database that the settings name holds, as long as there is one, for
    commands that look at an installation from outside. Raises `DatabaseAway`."""
    return at_rest.read(settings, lambda c: _taken(config, Held.of(*held(c)))) or Whole(config)


def _taken(config: Config, held: Held) -> Whole:
    made = together(config, held.items)
    return Whole(made.config, made.hidden, (*held.unread, *made.mistakes))


def _say_what_is_wrong(whole: Whole) -> None:
    for mistake in whole.mistakes:
        logger.error("declaration_does_not_fit", why=mistake.words)
    for part, name in whole.hidden:
        logger.warning("declared_twice", what=f"{part.one} {name}", so="what the file says counts")
