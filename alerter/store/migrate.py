"""Brings the tables to the version that this program knows, in one transaction: all of it or nothing.

Several processes may start at once: one migrates, the others wait and find it done. Alembic is imported only when there is
something to do, so that a start stays fast.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, inspect, text

from services.base.errors import Damaged

FOLDER: Final = Path(__file__).with_name("migrations")
HEAD: Final = max((path.name.split("_")[0] for path in (FOLDER / "versions").glob("[0-9]*.py")), default="")
"""The newest version: the number that its file's name begins with."""
_LOCK: Final = 0x46495245
"""Of PostgreSQL's advisory locks; any number that is ours."""


def up(engine: Engine) -> None:
    """Raises `Damaged` where the tables are of a version that we do not know."""
    with engine.connect() as connection:
        if version(connection) == HEAD:
            return
    with migrating(engine) as connection:
        to(connection, "head")


@contextmanager
def migrating(engine: Engine) -> Iterator[Connection]:
    """A transaction that no other migration is beside. SQLite changes most of a table by writing it anew, and dropping the
    old one would delete what hangs on it: there foreign keys are looked at in the end only."""
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
                    raise Damaged(f"a migration left {len(broken)} rows that point nowhere, first in {broken[0][0]}")
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
        raise Damaged(f"the alerter's database has version {found}, this program knows {HEAD}: {error}") from None


def configuration(folder: Path = FOLDER) -> Any:
    """Alembic's configuration: there is no ini file."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def version(connection: Connection) -> str | None:
    """Of the tables that are there; `None`: none are."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return None if found is None else str(found)
