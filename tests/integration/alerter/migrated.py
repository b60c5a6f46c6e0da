"""A SQLite file with the tables of today, made once and copied: migrating costs more than most tests do."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from alerter.store import migrate
from alerter.store.database import default_url, engine_of


@cache
def _template() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        url = default_url(Path(folder))
        engine = engine_of(url)
        migrate.up(engine)
        engine.dispose()  # the last connection writes everything into the one file
        return Path(engine.url.database or "").read_bytes()


def migrated_file(folder: Path) -> None:
    """Put the alerter's database where an alerter with this data folder looks for it, unless one is there."""
    path = folder / "alerter.db"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        path.touch(0o600)
        path.write_bytes(_template())
