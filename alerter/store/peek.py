"""Reads from the database that the settings name, without a service: for `firebreak doctor`. Changes nothing."""

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


def peek(settings: Settings, work: Callable[[Connection], T]) -> T | None:
    """Returns the result of `work`, or `None` before the first start, or if the tables are of another version: the next
    start migrates them. Raises `DatabaseAway`, or `ConfigError` if a key of the settings is malformed."""
    url = settings.database or default_url(settings.data)
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and not (parsed.database and os.path.exists(parsed.database)):  # noqa: PTH110
        return None
    engine = engine_of(url, Vault.from_settings(settings))
    try:
        with engine.connect() as connection:
            return work(connection) if migrate.version(connection) == migrate.HEAD else None
    except OperationalError as error:
        raise DatabaseAway(str(error.orig)) from None
    finally:
        engine.dispose()
