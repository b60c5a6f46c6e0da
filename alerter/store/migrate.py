"""Migrates the tables to the version that this program knows, in one transaction: all of it or nothing.

If several processes start at once, one migrates, and the others wait and find it done. Alembic is imported only if
there is something to do, so that starts stay fast.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, inspect, text

from services.base.errors import ConfigError, Damaged

FOLDER: Final = Path(__file__).with_name("migrations")
HEAD: Final = max((path.name.split("_")[0] for path in (FOLDER / "versions").glob("[0-9]*.py")), default="")
"""The newest version, which is the number at the start of a migration's file name."""
_LOCK: Final = 0x46495245
"""Our advisory lock in PostgreSQL; any number will do."""


def up(engine: Engine) -> None:
    """Migrate to the newest version. Raises `Damaged` if the tables have a version that we do not know."""
    with engine.connect() as connection:
        if version(connection) == HEAD:
            return
    with migrating(engine) as connection:
        to(connection, "head")


@contextmanager
def migrating(engine: Engine) -> Iterator[Connection]:
    """A transaction for one migration at a time.

    SQLite changes a table by copying it, and dropping the old one would delete the rows that refer to it. So there
    foreign keys are off, and are checked at the end.
    """
    sqlite = engine.dialect.name == "sqlite"
    with engine.connect() as connection:
        raw: Any = connection.connection.dbapi_connection
        if sqlite:
            raw.execute("PRAGMA foreign_keys=OFF")  # does nothing once a transaction has begun
        try:
            with connection.begin():
                if not sqlite:
                    connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK})
                yield connection
                if sqlite and (broken := connection.execute(text("PRAGMA foreign_key_check")).all()):
                    raise Damaged(
                        f"a migration left {len(broken)} rows that refer to nothing, the first in {broken[0][0]}"
                    )
        finally:
            if sqlite:
                raw.execute("PRAGMA foreign_keys=ON")


def to(connection: Connection, revision: str, folder: Path = FOLDER) -> None:
    """Migrate up or down to `revision`, inside the connection's transaction."""
    from alembic import command
    from alembic.util import CommandError

    found = version(connection)
    config = configuration(folder)
    config.attributes["connection"] = connection
    downward = revision == "base" or (found is not None and revision != "head" and revision < found)
    try:
        (command.downgrade if downward else command.upgrade)(config, revision)
    except CommandError as error:
        raise Damaged(f"the alerter's database has version {found}, but this program knows {HEAD}: {error}") from None


def configuration(folder: Path = FOLDER) -> Any:
    """Returns Alembic's configuration. There is no ini file."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def version(connection: Connection) -> str | None:
    """Returns the version of the tables, or `None` if there are none."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return None if found is None else str(found)


def check(connection: Connection) -> None:
    """Raises `ConfigError` if the database has another version than this program knows."""
    found = version(connection)
    if found != HEAD:
        raise ConfigError(f"the database has version {found}, but this program knows {HEAD}")
