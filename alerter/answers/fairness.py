"""Measures whether small accounts are answered like large ones: how many, and how soon, by network and reach. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

BANDS: Final = ((100, "under 100"), (1_000, "100 to 999"), (10_000, "1,000 to 9,999"), (100_000, "10,000 to 99,999"))
LARGEST: Final = "100,000 and more"
UNKNOWN: Final = "unknown"
ALL_BANDS: Final = (*(name for _, name in BANDS), LARGEST, UNKNOWN)


class Waited(NamedTuple):
    """One complaint or question. `seconds` is the time to the first answer, or `None` without one."""

    network: str
    band: str
    seconds: float | None
    late: bool
    """Whether the answer came late, or is overdue."""


@dataclass(frozen=True, slots=True)
class Treatment:
    """How one group was treated. The times are those of answered posts, or `None` if there are none."""

    network: str
    band: str
    asked: int
    answered: int
    late: int
    median_seconds: float | None
    p90_seconds: float | None

    @property
    def share(self) -> float:
        return self.answered / self.asked


def band_of(followers: int | None) -> str:
    """Returns the band for a number of followers, from `ALL_BANDS`."""
    if followers is None:
        return UNKNOWN
    return next((name for below, name in BANDS if followers < below), LARGEST)


def treatments(waited: Iterable[Waited]) -> list[Treatment]:
    """Returns the treatment of each network and band that occurs, ordered by network and reach."""
    groups: defaultdict[tuple[str, str], list[Waited]] = defaultdict(list)
    for one in waited:
        groups[one.network, one.band].append(one)
    ordered = sorted(groups, key=lambda key: (key[0], ALL_BANDS.index(key[1])))
    return [_treatment(network, band, groups[network, band]) for network, band in ordered]


def _treatment(network: str, band: str, group: Sequence[Waited]) -> Treatment:
    times = sorted(one.seconds for one in group if one.seconds is not None)
    late = sum(one.late for one in group)
    return Treatment(network, band, len(group), len(times), late, quantile(times, 0.5), quantile(times, 0.9))


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """Returns a quantile, interpolated as most tools do (Hyndman and Fan's type 7), or `None` without values."""
    if not ordered:
        return None
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)
