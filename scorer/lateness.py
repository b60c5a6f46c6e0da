"""Recognises a catch-up that nobody marked as one: by the times that the many claim, never by what one claims. Pure.

A source that was away delivers hours in a minute. Where the network vouches for no times, the posts' places in time would be
ours, and an ordinary afternoon would look like a storm. What gives a catch-up away is that many of the last arrivals claim to
be old, and that they claim to lie much further apart than they arrived. A source that always lags delivers at the pace at which
people write, so it is live, however large its lag; so is a stream in which a few clocks are wrong. What is younger than a
quarter of an hour is live too, but where it comes page by page, in the order of its claims, it is placed by them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, pairwise
from typing import Final, NamedTuple

import msgspec

from services.base.clock import epoch
from services.contracts.base import Event
from services.contracts.post import PostKind, PostObserved
from services.stream.state import KeyedState

STATE_VERSION: Final = 1
ARRIVALS: Final = 64
"""The last arrivals of each network that are compared."""
AHEAD: Final = 16
"""Of a batch so many posts are looked at ahead, so that the first ones of a catch-up are recognised too."""
OLD_SECONDS: Final = 900.0
"""A post that claims to be older than this may belong to a catch-up: clocks are wrong and sources lag by minutes."""
LEAST_OLD: Final = 4
OLD_SHARE: Final = 0.125
"""So many of the last arrivals, and this share of them, must claim to be old."""
FASTER: Final = 4.0
SLACK_SECONDS: Final = 2.0
"""Their claimed times must lie so many times as far apart as their arrivals, and this much further."""
LIVE_SECONDS: Final = 120.0
"""In a catch-up a post that claims to be no older than this is live."""
PAGE: Final = 16
ORDERED: Final = 14
"""Of so many arrivals this many steps from one to the next must go the same way in time: wrong clocks have no order."""
UNHEARD: Final = 2
"""The largest claims that are not believed: one post alone never says how late the others are."""


class TimePlace(NamedTuple):
    """Where a post is placed in time by the claims of the many (epoch seconds), and whether it was heard late."""

    at: float
    late: bool


class _Arrival(NamedTuple):
    """A post without a time by its network: when it came, and how old it claims to be (seconds)."""

    network: str
    at: float
    age: float
    backfill: bool


class Arrivals(msgspec.Struct, array_like=True):
    """When the last posts of one network arrived (epoch seconds), and how old each claimed to be (seconds)."""

    at: list[float] = msgspec.field(default_factory=list)
    age: list[float] = msgspec.field(default_factory=list)

    def note(self, at: float, age: float) -> None:
        """Remember one arrival, and forget the oldest where there are too many."""
        self.at.append(at)
        self.age.append(max(0.0, age))
        if len(self.at) > ARRIVALS:
            del self.at[0], self.age[0]

    def is_catch_up(self) -> bool:
        """Returns True if the last arrivals claim to come from a much longer time than the one in which they arrived."""
        old = [number for number, age in enumerate(self.age) if age > OLD_SECONDS]
        if len(old) < max(LEAST_OLD, OLD_SHARE * len(self.age)):
            return False
        claimed = sorted(self.at[number] - self.age[number] for number in old)
        return _is_faster(claimed, self.at[old[-1]] - self.at[old[0]])

    def is_paged(self) -> bool:
        """Returns True if the last arrivals came in the order of their claims, or backwards, and in much less time."""
        claimed = [at - age for at, age in zip(self.at[-PAGE:], self.age[-PAGE:], strict=True)]
        if len(claimed) < PAGE or not _is_faster(sorted(claimed), self.at[-1] - self.at[-PAGE]):
            return False
        later = sum(after >= before for before, after in pairwise(claimed))
        earlier = sum(after <= before for before, after in pairwise(claimed))
        return max(later, earlier) >= ORDERED

    def believed(self, age: float) -> float:
        """How old a post is taken to be that claims to be so old: never older than others claim, too."""
        return min(age, sorted(self.age)[-1 - min(UNHEARD, len(self.age) - 1)])


def _is_faster(claimed: Sequence[float], arrived: float) -> bool:
    """Returns True if posts arrived within so many seconds that claim, in order, to have been written in much longer."""
    return claimed[-2] - claimed[1] > FASTER * abs(arrived) + SLACK_SECONDS


class Lateness:
    """The last arrivals by network, in the lane's state."""

    def __init__(self) -> None:
        self._networks = KeyedState("l:", Arrivals, STATE_VERSION)

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """Take over the committed state."""
        self._networks.restore(entries)

    def places(self, events: Sequence[Event]) -> Iterator[TimePlace | None]:
        """Yields, for each event of a batch, its place by the claims of the many. That is `None` for what is live, and for a
        post whose network vouches for its time: it has its place.
        """
        arrivals = [_arrival(event) for event in events]
        networks: dict[str, Arrivals] = {}
        ahead = iter(arrivals)
        for following in islice(ahead, AHEAD):
            self._note(following, networks)
        for arrival in arrivals:
            self._note(next(ahead, None), networks)
            yield None if arrival is None or arrival.age <= LIVE_SECONDS else _place(arrival, networks[arrival.network])

    def _note(self, arrival: _Arrival | None, networks: dict[str, Arrivals]) -> None:
        """Remember one arrival of a batch; `networks` are those that the batch has touched."""
        if arrival is None:
            return
        known = networks.get(arrival.network)
        if known is None:
            known = networks[arrival.network] = self._networks.get(arrival.network) or Arrivals()
            self._networks.put(arrival.network, known, None)
        known.note(arrival.at, arrival.age)

    def changes(self) -> dict[str, bytes | None]:
        """What was put since the last call, as it is to be committed."""
        return self._networks.changes()


def _arrival(event: Event) -> _Arrival | None:
    """The event as an arrival; `None` if it claims nothing about its time, or if its network says better."""
    if type(event) is not PostObserved or event.platform_at is not None or event.created_at is None:
        return None
    if event.kind is PostKind.COUNTERS or event.kind is PostKind.DELETION:
        return None
    at = epoch(event.observed_at)
    return _Arrival(event.network, at, at - epoch(event.created_at), event.backfill)


def _place(arrival: _Arrival, known: Arrivals) -> TimePlace | None:
    # Where the source says that it is late, how late is believed as soon as there are others to compare with.
    late = len(known.age) >= LEAST_OLD if arrival.backfill else known.is_catch_up()
    if not late and not known.is_paged():
        return None
    return TimePlace(arrival.at - known.believed(arrival.age), late or arrival.age > OLD_SECONDS)
