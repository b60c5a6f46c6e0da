"""Changes the key of what is encrypted, beside running services or without them (`firebreak rotate-secrets`)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Self, TypeVar

from sqlalchemy import Connection, Engine, make_url
from sqlalchemy.exc import OperationalError

from alerter.store import at_rest, audit, migrate, sealing
from alerter.store.database import DatabaseAway, default_url, engine_of, fold
from alerter.store.vault import Vault
from services.base.errors import ConfigError
from services.base.settings import Settings

T = TypeVar("T")


def late(settings: Settings) -> int:
    """Returns how many values in the database are not encrypted with the newest key; 0 without a database. Raises
    `FirebreakError` if a key is malformed, a value cannot be read or the database does not answer. Tables of an older
    version will do, because they are migrated at the next start."""
    vault = Vault.from_settings(settings)
    if not at_rest.is_there(settings):
        return 0
    engine = engine_of(settings.database or default_url(settings.data))
    try:
        return _in_one(engine, lambda c: sealing.check(c, vault) if migrate.version(c) is not None else 0)
    finally:
        engine.dispose()


def _in_one(engine: Engine, work: Callable[[Connection], T]) -> T:
    try:
        with engine.begin() as connection:
            return work(connection)
    except OperationalError as error:
        raise DatabaseAway(str(error.orig)) from None


class Rotation:
    """Raises `ConfigError` if there is no database of this version or a key is malformed, and `DatabaseAway` if the
    database does not answer."""

    def __init__(self, settings: Settings) -> None:
        url = settings.database or default_url(settings.data)
        if not at_rest.is_there(settings):
            path = make_url(url).database
            raise ConfigError(f"there is no database at {path}: set FIREBREAK_DATABASE or FIREBREAK_DATA")
        self.vault = Vault.from_settings(settings)
        self._engine = engine_of(url, self.vault)

    def __enter__(self) -> Self:
        try:
            _in_one(self._engine, migrate.check)
        except BaseException:
            self._engine.dispose()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._engine.dispose()

    def unreadable(self) -> list[str]:
        """Returns the names of the endpoints of which no key opens something."""
        return _in_one(self._engine, lambda c: sealing.unreadable(c, self.vault))

    def drop_unreadable(self, who: str) -> None:
        """Remove those endpoints, and keys of our own that cannot be read."""

        def work(connection: Connection) -> None:
            for name in sealing.drop_unreadable(connection, self.vault):
                self._note(connection, who, "endpoint.deleted", name)

        _in_one(self._engine, work)

    def rotate(self, who: str, *, decrypt: bool = False) -> int:
        """Store all values with the newest key, or unencrypted. Returns how many changed. Raises `Locked`."""

        def work(connection: Connection) -> int:
            sealing.check(connection, self.vault)
            changed = sealing.reseal(connection, self.vault, Vault() if decrypt else self.vault)
            if changed:
                self._note(connection, who, "secrets.decrypted" if decrypt else "secrets.rotated", f"{changed} values")
            return changed

        changed = _in_one(self._engine, work)
        fold(self._engine)
        return changed

    @staticmethod
    def _note(connection: Connection, who: str, what: str, on: str) -> None:
        audit.record(connection, datetime.now(UTC), f"cli:{who}", what, on)
