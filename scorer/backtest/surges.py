"""Plays recorded mention counts through the surge alarm and through the rules on the market: how many labelled windows each
catches, and how many of its alarms lie in no labelled window.

All are treated alike: an alarm is given when the condition becomes true, and no further one within the cool-down. Series and
labels are those of the Numenta Anomaly Benchmark: rows of `timestamp,value`, and windows by the name of the series' file.
"""

from __future__ import annotations

import csv
import gzip
import json
import math
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean, median, pstdev
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from scorer.surge_model import SENSITIVITIES, SurgeModel, SurgeRule
from services.base.errors import FirebreakError

HOUR: Final = 3_600.0
DAY: Final = 86_400.0
OURS: Final = "firebreak"
COOL_DOWN_SECONDS: Final = SurgeRule().cool_down_seconds


@dataclass(frozen=True, slots=True)
class Series:
    """Mention counts of one brand, by bucket; times are epoch seconds."""

    name: str
    times: tuple[float, ...]
    counts: tuple[float, ...]

    @property
    def step(self) -> float:
        """The length of a bucket in seconds."""
        return median(b - a for a, b in zip(self.times, self.times[1:], strict=False))


@dataclass(frozen=True, slots=True)
class DetectorScore:
    """What one rule caught: `caught` of so many labelled `windows`, and `false` alarms in so many `days`."""

    rule: str
    caught: int
    windows: int
    false: int
    days: float
    delay_minutes: float | None
    """The median time from the beginning of a caught window to its alarm."""

    @property
    def false_a_day(self) -> float:
        return self.false / self.days


def read_series(paths: Sequence[Path]) -> list[Series]:
    """The series of all files, and of the CSV files in all folders. Raises `FirebreakError` if there are none."""
    found = []
    for path in paths:
        for file in sorted(path.glob("*.csv*")) if path.is_dir() else [path]:
            with gzip.open(file, "rt") if file.suffix == ".gz" else file.open() as lines:
                rows = [(_time(row["timestamp"]), float(row["value"])) for row in csv.DictReader(lines)]
            rows.sort()
            found.append(Series(file.name.split(".")[0], tuple(t for t, _ in rows), tuple(v for _, v in rows)))
    if not found:
        raise FirebreakError("no series found: give CSV files with the columns timestamp,value")
    return found


def read_windows(path: Path | None, series: Sequence[Series]) -> dict[str, list[tuple[float, float]]]:
    """The labelled windows (begin, end) of each series: those whose name, or the last part of it, is that of the series."""
    labels = {} if path is None else json.loads(path.read_text())
    windows = {}
    for one in series:
        name = next((k for k in labels if Path(k).stem == one.name or one.name.endswith(f"_{k}")), None)
        windows[one.name] = [] if name is None else [(_time(begin), _time(end)) for begin, end in labels[name]]
    return windows


def _time(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


Detector = Callable[[float, float], bool]
"""Takes the next bucket (its time and count), and returns True if the condition for an alarm holds now."""


class OurAlarm:
    """Our baseline and alarm, as they are shipped (a `Detector`)."""

    def __init__(self, step: float, rule: SurgeRule = SENSITIVITIES["balanced"]) -> None:
        self._model = SurgeModel.new(step)
        # A recorded bucket is all there is of its minutes: it cannot persist.
        self._rule = msgspec.structs.replace(rule, persists_seconds=0.0)
        self.deviation = self._model.measure(0.0)

    def __call__(self, at: float, count: float) -> bool:
        self._model.advance(at)
        self._model.add(at, count)
        self.deviation = self._model.measure(at)
        self._model.alarm.step(self._rule, at, self.deviation)
        return self._model.alarm.begins is not None


class HourlyCounts:
    """Sums over the past hours, for the rules on the market."""

    def __init__(self, step: float) -> None:
        self._hour = max(1, round(HOUR / step))
        self._counts: list[float] = []

    def add(self, count: float) -> None:
        self._counts.append(count)

    def hours(self, first: float, last: float) -> list[float]:
        """The counts of whole hours from `last` hours ago to `first` hours ago."""
        stop = len(self._counts) - int(first * self._hour)
        start = max(0, len(self._counts) - int(last * self._hour))
        return [sum(self._counts[i : i + self._hour]) for i in range(start, stop - self._hour + 1, self._hour)]

    def hourly(self) -> bool:
        """Returns True if an hour has just ended."""
        return len(self._counts) % self._hour == 0


def meltwater(step: float, times: float) -> Detector:
    """On when the last hour is `times` the mean of the twelve before, and of the day and the week before."""
    past = HourlyCounts(step)

    def on(_: float, count: float) -> bool:
        past.add(count)
        last, before = past.hours(0, 1), past.hours(1, 13)
        if not before or last[0] < times * max(1.0, fmean(before)):
            return False
        return all(not hours or last[0] >= times * fmean(hours) for hours in (past.hours(1, 25), past.hours(1, 169)))

    return on


def socialmetrix(step: float, k: float) -> Detector:
    """On when the mean of the last 24 hours is k standard deviations above that of 7 days; decided once an hour."""
    past, state = HourlyCounts(step), [False]

    def on(_: float, count: float) -> bool:
        past.add(count)
        if past.hourly():
            week = past.hours(0, 168)
            state[0] = len(week) > 24 and fmean(past.hours(0, 24)) > fmean(week) + k * pstdev(week)
        return state[0]

    return on


def exorde(step: float, k: float) -> Detector:
    """On when the last hour is k standard deviations above the mean of 14 days. (The original also looks at domains and
    languages, which a count does not have.)"""
    past = HourlyCounts(step)

    def on(_: float, count: float) -> bool:
        past.add(count)
        before = past.hours(1, 14 * 24)
        return len(before) >= 24 and past.hours(0, 1)[0] > fmean(before) + k * pstdev(before)

    return on


def agility(step: float, times: float) -> Detector:
    """On when the last hour is more than `times` the hourly mean of the 7 days before."""
    past = HourlyCounts(step)

    def on(_: float, count: float) -> bool:
        past.add(count)
        before = past.hours(1, 169)
        return len(before) >= 24 and past.hours(0, 1)[0] > times * max(1.0, fmean(before))

    return on


RULES: Final[dict[str, Callable[[float], Detector]]] = {
    OURS: OurAlarm,
    f"{OURS}, surges: more": lambda step: OurAlarm(step, SENSITIVITIES["more"]),
    "Meltwater-style, more (x1.5)": lambda step: meltwater(step, 1.5),
    "Meltwater-style, balanced (x2)": lambda step: meltwater(step, 2.0),
    "Meltwater-style, fewer (x3)": lambda step: meltwater(step, 3.0),
    "Socialmetrix, k 1.5": lambda step: socialmetrix(step, 1.5),
    "Socialmetrix, k 2": lambda step: socialmetrix(step, 2.0),
    "Socialmetrix, k 3": lambda step: socialmetrix(step, 3.0),
    "Exorde-style, 5 sigma": lambda step: exorde(step, 5.0),
    "Agility-style, x2": lambda step: agility(step, 2.0),
    "Agility-style, x3": lambda step: agility(step, 3.0),
}


def alarms(series: Series, on: Detector) -> Iterator[float]:
    """Yields the times at which the condition becomes true, at most one within a cool-down."""
    was, last = False, -math.inf
    for at, count in zip(series.times, series.counts, strict=True):
        now = on(at, count)
        if now and not was and at - last >= COOL_DOWN_SECONDS:
            last = at
            yield at
        was = now


def score(
    rule: str, found: dict[str, list[float]], series: Sequence[Series], windows: dict[str, list[tuple[float, float]]]
) -> DetectorScore:
    """What a rule caught; `found` are its alarms and `windows` the labelled windows, both by name of the series."""
    caught = false = total = 0
    delays = []
    for one in series:
        times = found[one.name]
        inside = 0
        for begin, end in windows[one.name]:
            total += 1
            place = bisect_left(times, begin)
            hits = sum(begin <= t <= end for t in times)
            inside += hits
            if hits:
                caught += 1
                delays.append((times[place] - begin) / 60)
        false += len(times) - inside
    days = sum(one.times[-1] - one.times[0] for one in series) / DAY
    return DetectorScore(rule, caught, total, false, days, median(delays) if delays else None)


def run(files: Sequence[Path], windows: Path | None, trace: Path | None, json_: Path | None, console: Console) -> None:
    """Play the series of all files through all rules, show the scores, and write them (`json_`) and every bucket (`trace`)."""
    series = read_series(files)
    labels = read_windows(windows, series)
    scores = []
    with Progress(console=console, transient=True) as progress:
        for name, make in progress.track(list(RULES.items()), description="streaming"):
            found = {one.name: list(alarms(one, make(one.step))) for one in series}
            scores.append(score(name, found, series, labels))
    table = Table()
    for column in ("rule", "windows caught", "of", "false alarms", "a day", "delay min"):
        table.add_column(column, justify="left" if column == "rule" else "right", no_wrap=column == "rule")
    for one in scores:
        delay = "-" if one.delay_minutes is None else f"{one.delay_minutes:.0f}"
        table.add_row(one.rule, str(one.caught), str(one.windows), str(one.false), f"{one.false_a_day:.3f}", delay)
    console.print(table)
    if json_ is not None:
        json_.write_text(
            json.dumps([asdict(one) | {"false_a_day": one.false_a_day} for one in scores], indent=2) + "\n"
        )
    if trace is not None:
        _trace(trace, series)


def _trace(path: Path, series: Sequence[Series]) -> None:
    """Write every bucket of every series as our alarm saw it."""
    with path.open("w") as out:
        for one in series:
            ours = OurAlarm(one.step)
            for at, count in zip(one.times, one.counts, strict=True):
                surging = ours(at, count)
                deviation = ours.deviation
                row: dict[str, Any] = {
                    "series": one.name,
                    "at": datetime.fromtimestamp(at, UTC).isoformat(),
                    "observed": deviation.observed,
                    "expected": round(deviation.expected, 3),
                    "surprise": round(deviation.surprise, 3),
                    "surging": surging,
                }
                out.write(json.dumps(row) + "\n")
