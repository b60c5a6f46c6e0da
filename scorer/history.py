"""Reads how many negative posts brands had before Firebreak watched them, and writes it where surges learn what is usual.

A file has one line for each brand and minute, or for each brand and hour: CSV with the columns `brand,at,negative`, or JSON
lines with these names. `at` is the beginning (ISO 8601; UTC without a zone). What is missing between a brand's first and last
line had none. The history travels through the log as events of one day each, so whatever scorer holds the brand reads it.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections import defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from services.base.errors import ConfigError
from services.contracts.base import BrandId, event_id
from services.contracts.codec import encode
from services.contracts.signal import BrandHistory
from services.contracts.topics import SIGNALS
from services.eventlog.base import Message

MINUTE, HOUR, DAY = 60, 3_600, 86_400
MOST_DAYS: Final = 400
"""Older counts say nothing about this week, and a wrong year would make a million empty hours."""

Counts = Mapping[str, Mapping[int, int]]
"""By brand, the negative posts of each minute or hour, by its beginning in epoch seconds."""


def read(path: Path, brands: Container[str]) -> tuple[Counts, int]:
    """Returns the counts in a file, and how many seconds each stands for. Lines of the same brand and time are added up.

    Raises `ConfigError` that names the line, if one cannot be read or names a brand that is not configured.
    """
    found: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    try:
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open(encoding="utf-8-sig") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    for number, row in _rows(path, text):
        try:
            brand, at, count = str(row["brand"]), _epoch(row["at"]), int(row["negative"])
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"{path}, line {number}: {error!r}; wanted are brand, at and negative") from error
        if brand not in brands:
            raise ConfigError(f"{path}, line {number}: no brand {brand!r} is configured")
        if count < 0 or at % MINUTE:
            raise ConfigError(f"{path}, line {number}: wanted are a count and the beginning of a minute or an hour")
        found[brand][at] += count
    if not found:
        raise ConfigError(f"{path} has no counts")
    every = MINUTE if any(at % HOUR for counts in found.values() for at in counts) else HOUR
    for brand, counts in found.items():
        if max(counts) - min(counts) > MOST_DAYS * DAY:
            raise ConfigError(f"{path}: the counts of {brand!r} are more than {MOST_DAYS} days apart")
    return found, every


def _rows(path: Path, text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    if ".json" in path.name or ".ndjson" in path.name:
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                try:
                    yield number, json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise ConfigError(f"{path}, line {number}: not JSON: {error}") from error
    else:
        yield from enumerate(csv.DictReader(io.StringIO(text)), 2)


def _epoch(at: object) -> int:
    moment = datetime.fromisoformat(str(at).strip())
    return int((moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp())


def messages(counts: Counts, every: int) -> Iterator[Sequence[Message]]:
    """Yields, for each brand, its history as messages for the log, oldest day first. The same counts give the same messages."""
    for brand, own in sorted(counts.items()):
        days = range(min(own) // DAY * DAY, max(own) + 1, DAY)
        yield [_message(brand, _of_day(own, day, every), every) for day in days]


def _of_day(own: Mapping[int, int], day: int, every: int) -> tuple[int, list[int]]:
    begins, ends = max(day, min(own)), min(day + DAY, max(own) + every)
    return begins, [own.get(at, 0) for at in range(begins, ends, every)]


def _message(brand: str, day: tuple[int, list[int]], every: int) -> Message:
    begins, negative = day
    event = BrandHistory(
        brand=BrandId(brand),
        begins=datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=begins),
        every_seconds=every,
        negative=tuple(negative),
    )
    id_ = event_id(event.TYPE, brand, begins, every, negative)
    return Message(SIGNALS.name, brand, encode(event, id_))
