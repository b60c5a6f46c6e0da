"""The embedded log: the contract of `base` over one SQLite file, durable, with nothing to install."""

from services.eventlog.sqlite.log import SqliteLog

__all__ = ["SqliteLog"]
