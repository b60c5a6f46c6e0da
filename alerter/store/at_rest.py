"""Reads the database that the settings name, beside running services or without them. It is never made or changed by that."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection, make_url
from sqlalchemy.exc import OperationalError

from alerter.store import migrate
from alerter.store.database import DatabaseAway, default_url, engine_of
from alerter.store.vault import Vault
from services.base.settings import Settings

T = TypeVar("T")


def is_there(settings: Settings) -> bool:
    """Returns False if there is no database yet, as before the first start."""
    url = make_url(settings.database or default_url(settings.data))
    # A folder that cannot be looked into holds none for us: its own check says why.
    return url.get_backend_name() != "sqlite" or bool(url.database and os.path.exists(url.database))  # noqa: PTH110


def read(settings: Settings, work: Callable[[Connection], T], vault: Vault | None = None) -> T | None:
    """Returns what `work` reads, or `None` if there is no database of this version: tables of another one may lack what is
    read, and the next start migrates them. `vault` opens what is encrypted. Raises `DatabaseAway`."""
    if not is_there(settings):
        return None
    engine = engine_of(settings.database or default_url(settings.data), vault)
    try:
        with engine.connect() as connection:
            return work(connection) if migrate.version(connection) == migrate.HEAD else None
    except OperationalError as error:
        raise DatabaseAway(str(error.orig)) from None
    finally:
        engine.dispose()
