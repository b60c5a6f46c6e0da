"""The configuration in force: what every step reads at its beginning, and how another one takes its place.

It is swapped whole, by one assignment on the event loop, with all that was made of it (`derive`). So a step that reads it once
sees one configuration to its end, whatever happens to the file meanwhile. What is made of it is made before the swap, on a
thread of its own. A file with a mistake changes nothing: what is in force stays so, and `refused` says what is wrong.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Generic, NamedTuple, TypeVar

import structlog

from services.base.clock import set_within
from services.base.errors import ConfigError
from services.config.file import ConfigFile, Loaded, version_of
from services.config.model import Config

logger = structlog.get_logger()

T = TypeVar("T")

LOOK_SECONDS: Final = 2.0
"""How often the file is looked at. A change is taken when two looks in a row find the same, so never while it is written."""


class Reload(StrEnum):
    """How a reload ended: another configuration is in force, or the same one, or what the file holds was refused."""

    TAKEN = "taken"
    UNCHANGED = "unchanged"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the file holds cannot be taken: `mistakes` says why, one a line, for people who may know the brands."""

    version: str
    mistakes: tuple[str, ...]
    since: datetime


class _InForce(NamedTuple):
    loaded: Loaded
    made: tuple[Any, ...]


class Derived(Generic[T]):
    """What is made of the configuration, always of the one in force."""

    def __init__(self, current: CurrentConfig, place: int) -> None:
        self._current = current
        self.place = place

    @property
    def now(self) -> T:
        """Read it once in a step: the next step may see another."""
        made: T = self._current._in_force.made[self.place]  # noqa: SLF001 - the two are one
        return made


class CurrentConfig:
    """Holds the configuration of one process. Without a `file` it stays as it is, as in drills and tests."""

    def __init__(self, loaded: Loaded, file: ConfigFile | None = None, wall: Callable[[], float] = time.time) -> None:
        loaded.config.prepare()
        self.refused: Refusal | None = None
        """What is wrong with the file, while it holds something else than what is in force."""
        self.after: list[Callable[[Reload], None]] = []
        """Called after each reload, on the event loop."""
        self._in_force = _InForce(loaded, ())
        self._makers: list[Callable[[Config], Any]] = []
        self._file = file
        self._wall = wall
        self._asked = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self._tried = self._seen = loaded.version

    @classmethod
    def of(cls, config: Config) -> CurrentConfig:
        return cls(Loaded.of(config))

    @classmethod
    def from_file(cls, file: ConfigFile) -> CurrentConfig:
        """Returns what the file holds, or else what was last good, with `refused` set.

        Raises `ConfigError` if the file cannot be taken and nothing was ever good.
        """
        try:
            loaded = file.read()
        except ConfigError as error:
            last = file.last_good()
            if last is None:
                raise
            current = cls(last, file)
            current._refuse(error)
            logger.error("runs_on_the_last_good_configuration", version=last.version)
            return current
        file.keep(loaded)
        return cls(loaded, None if file.is_pipe else file)

    @property
    def config(self) -> Config:
        """Read it once in a step: the next step may see another."""
        return self._in_force.loaded.config

    @property
    def version(self) -> str:
        """The beginning of the SHA-256 of the file, the same in every process that runs it."""
        return self._in_force.loaded.version

    @property
    def file_name(self) -> str:
        return "" if self._file is None else self._file.path.name

    def derive(self, make: Callable[[Config], T]) -> Derived[T]:
        """Returns what `make` makes of the configuration. It is called now, and on a thread for each later configuration,
        before that takes effect; what it raises then refuses that configuration."""
        loaded, made = self._in_force
        self._makers.append(make)
        self._in_force = _InForce(loaded, (*made, make(loaded.config)))
        return Derived(self, len(made))

    async def remake(self, derived: Derived[T], make: Callable[[Config], T]) -> None:
        """Make something derived anew, because what it is made of besides the configuration has changed. `make` is called on a
        thread. Raises what `make` raises, and then changes nothing."""
        async with self._one_at_a_time:
            one = await asyncio.to_thread(make, self.config)
            loaded, made = self._in_force
            place = derived.place
            self._in_force = _InForce(loaded, (*made[:place], one, *made[place + 1 :]))

    def ask(self) -> None:
        """Ask `watch` for a reload, as on SIGHUP."""
        self._asked.set()

    async def reload(self) -> Reload:
        """Read the file and take what it holds, if that is another configuration and a right one."""
        async with self._one_at_a_time:
            if self._file is None:
                return Reload.UNCHANGED
            try:
                ended = await self._take(await asyncio.to_thread(self._file.read))
            except ConfigError as error:
                ended = self._refuse(error)
            except Exception as error:  # a root of work: whatever is wrong with a file, the one in force serves on
                logger.exception("configuration_not_taken")
                ended = self._refuse(ConfigError(f"{self._file.path}: {type(error).__name__} while it was taken"))
        for tell in self.after:
            tell(ended)
        return ended

    async def _take(self, loaded: Loaded) -> Reload:
        assert self._file is not None
        if loaded.version == self.version:
            ended = Reload.UNCHANGED
        else:
            before, makers = self.version, tuple(self._makers)
            made = await asyncio.to_thread(_made, loaded.config, makers)
            self._in_force = _InForce(loaded, made)
            logger.info("configuration_taken", version=loaded.version, before=before)
            await asyncio.to_thread(self._file.keep, loaded)
            ended = Reload.TAKEN
        self.refused, self._tried = None, loaded.version
        return ended

    def _refuse(self, error: ConfigError) -> Reload:
        assert self._file is not None
        self._tried = self._file.tried
        known = self.refused
        since = known.since if known is not None else datetime.fromtimestamp(self._wall(), UTC)
        self.refused = Refusal(self._tried, tuple(str(error).splitlines()), since)
        logger.error("configuration_refused", version=self.version, refused=self._tried, why=str(error))
        return Reload.REFUSED

    async def look(self) -> None:
        """Look whether the file changed, and reload when it has been the same other one at two looks."""
        if self._file is None:
            return
        found = version_of(await asyncio.to_thread(self._file.content))
        if found == self._seen and found != self._tried:
            await self.reload()
        self._seen = found

    async def watch(self) -> None:
        """Look at the file for ever, and reload at once when asked."""
        while True:
            await set_within(self._asked, LOOK_SECONDS)
            if self._asked.is_set():
                self._asked.clear()
                await self.reload()
            else:
                await self.look()


def _made(config: Config, makers: tuple[Callable[[Config], Any], ...]) -> tuple[Any, ...]:
    config.prepare()
    return tuple(make(config) for make in makers)
