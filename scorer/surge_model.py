"""Decides whether more posts come in about a brand than its own baseline explains. Pure; all times are epoch seconds.

The baseline of a brand is a model of the number of posts in one bucket of time. Its mean has three layers: the brand's overall
rate, the hour of the day, the hour of the week. As long as a layer has seen little it falls back on the one before. Counts of
posts are over-dispersed (one event makes many people write), so a bucket is negative binomial, with a dispersion that is
learned as well. The model learns online, from the first bucket on. What looks like an incident is kept out, so that a storm
does not become the usual, and nothing is learned from a time in which a source was blind. Beside the baseline stands the
brand's volatility: how far whole windows were from what was expected in the last two weeks, incidents included. A brand that
has a storm every other day needs a larger one to be news.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

HOUR: Final = 3_600.0
BUCKET_SECONDS: Final = 300.0
WINDOW_BUCKETS: Final = 6
"""The window that is compared with the baseline has so many buckets, half an hour. On the Numenta Anomaly Benchmark (NAB)
alarms with a window of an hour came later and missed more; with a quarter of an hour twice as many were false."""
KEPT_BUCKETS: Final = 72
"""Buckets kept: a source that delivers late may add to a bucket until six hours after it was over."""
MOST_BUCKETS: Final = 2016
"""After a silence at most so many buckets, a week, are learned as empty."""
VOLATILITY_SECONDS: Final = 14 * 86_400.0
"""The time over which the volatility is averaged."""
FIRST_DAY_SECONDS: Final = 86_400.0
"""The volatility is not known before the baseline has seen so much."""
KNOWN_SECONDS: Final = 7 * 86_400.0
"""The baseline is known when so much of the brand's own time was seen: once around the week that it is made of. Before that a
first Monday looks like a surge, after a Sunday."""
OWN_BUCKETS: Final = 3
LEAST_BUSY: Final = 5.0
"""A brand whose baseline is not known is compared with the busiest ten minutes that it had itself: when it was seen for so many
buckets, and as if those had had so many posts at least."""
BLIND_SPELLS: Final = 8
"""Gaps of sources that are remembered."""
WEEK_HOURS: Final = 168
DAY_HOURS: Final = 24
MEMORY_BUCKETS_A_SLOT: Final = 400.0
"""An hour of the week (a slot) forgets what is older than about so many of its buckets."""
PRIOR_BUCKETS: Final = 6.0
"""A slot begins with the mean of the layer before it, which weighs as much as so many buckets."""
PRIOR_MEAN: Final = 0.5
"""The posts in a bucket of a brand of which nothing is known."""
START_DISPERSION: Final = 0.3
LEAST_DISPERSION: Final = 0.02
MOST_DISPERSION: Final = 4.0
DISPERSION_BUCKETS: Final = 500.0
"""The dispersion is averaged over so many buckets, ..."""
PRIOR_DISPERSION_BUCKETS: Final = 200.0
"""... beginning with a prior that weighs as much as these: a lively first hour must not make everything seem usual."""
OUTLYING_SURPRISE: Final = 2.5
"""A bucket that is less likely than 1 in 300 is cut to what is usual before it is learned. So incidents stay out of the
baseline, and a level that stays high is adopted step by step."""
TAIL_TERMS: Final = 400
"""Terms of the tail that are summed, at most."""


class Baseline(msgspec.Struct, array_like=True):
    """What is usual for one brand, in buckets of `seconds`. `day` and `week` hold, for each hour, the posts that were seen, and
    `day_buckets` and `week_buckets` in how many buckets."""

    seconds: float
    buckets: float = 0.0
    posts: float = 0.0
    day: list[float] = msgspec.field(default_factory=lambda: [0.0] * DAY_HOURS)
    day_buckets: list[float] = msgspec.field(default_factory=lambda: [0.0] * DAY_HOURS)
    week: list[float] = msgspec.field(default_factory=lambda: [0.0] * WEEK_HOURS)
    week_buckets: list[float] = msgspec.field(default_factory=lambda: [0.0] * WEEK_HOURS)
    dispersion: float = START_DISPERSION

    def expected(self, at: float) -> float:
        """The mean number of posts in the bucket that begins at `at`."""
        hour = int(at // HOUR)
        # 1 January 1970 was a Thursday: any fixed origin of the week will do.
        of_day, of_week = hour % DAY_HOURS, hour % WEEK_HOURS
        overall = (self.posts + PRIOR_MEAN) / (self.buckets + 1.0)
        daily = (self.day[of_day] + PRIOR_BUCKETS * overall) / (self.day_buckets[of_day] + PRIOR_BUCKETS)
        return (self.week[of_week] + PRIOR_BUCKETS * daily) / (self.week_buckets[of_week] + PRIOR_BUCKETS)

    def learn(self, at: float, count: float) -> None:
        """Learn from the bucket that began at `at` and is over."""
        mean = self.expected(at)
        if surprise(count, mean, self.dispersion) > OUTLYING_SURPRISE:
            count = min(count, usual_at_most(mean, self.dispersion))
        excess = ((count - mean) ** 2 - mean) / (mean * mean + 0.25)
        memory = min(DISPERSION_BUCKETS, self.buckets + PRIOR_DISPERSION_BUCKETS)
        self.dispersion += (min(excess, 10.0) - self.dispersion) / memory
        self.dispersion = min(MOST_DISPERSION, max(LEAST_DISPERSION, self.dispersion))
        hour = int(at // HOUR)
        self.buckets, self.posts = _faded(self.buckets, self.posts, count, 4 * WEEK_HOURS * HOUR / self.seconds)
        for counts, sums, slot in (
            (self.day_buckets, self.day, hour % DAY_HOURS),
            (self.week_buckets, self.week, hour % WEEK_HOURS),
        ):
            counts[slot], sums[slot] = _faded(counts[slot], sums[slot], count, MEMORY_BUCKETS_A_SLOT)

    def learn_late(self, at: float, count: float) -> None:
        """Add posts that came after their bucket at `at` had been learned: what a source delivers late every day is usual."""
        hour = int(at // HOUR)
        self.posts += count
        self.day[hour % DAY_HOURS] += count
        self.week[hour % WEEK_HOURS] += count


def _faded(number: float, total: float, count: float, memory: float) -> tuple[float, float]:
    """The number of buckets and the sum of their posts with one more bucket, older ones fading over `memory` buckets."""
    keep = 1.0 - 1.0 / memory if number >= memory / 2 else 1.0
    return number * keep + 1.0, total * keep + count


def surprise(count: float, mean: float, dispersion: float) -> float:
    """-log10 of the probability of at least `count` posts: negative binomial with variance mean + dispersion * mean^2."""
    if count <= mean or count < 1:
        return 0.0
    size = 1.0 / dispersion
    p = mean / (mean + size)
    log_term = (
        math.lgamma(count + size) - math.lgamma(size) - math.lgamma(count + 1.0)
        + size * math.log1p(-p) + count * math.log(p)
    )  # fmt: skip
    total = term = 1.0
    for k in range(TAIL_TERMS):
        term *= (count + k + size) / (count + k + 1.0) * p
        total += term
        if term < 1e-4 * total:
            break
    else:
        total += term * 1.0 / (1.0 - p)
    return max(0.0, -(log_term + math.log(total)) / math.log(10.0))


def usual_at_most(mean: float, dispersion: float) -> float:
    """The number of posts in a bucket that is high but ordinary: two standard deviations above the mean."""
    return mean + 2.0 * math.sqrt(mean + dispersion * mean * mean)


class SurgeRule(msgspec.Struct, frozen=True):
    """When a surge begins and ends. A window must reach all of the first five, and stay there, for a surge to begin."""

    start: float = 4.0
    """The least surprise, once the brand's volatility is known."""
    volatility: float = 8.0
    """The least deviation, in multiples of the brand's volatility, once that is known."""
    start_cold: float = 5.0
    """The least surprise on the first day, when the volatility is not known."""
    least_factor: float = 2.5
    """The least ratio of observed to expected posts."""
    least_posts: int = 8
    persists_seconds: float = 120.0
    """How long the window must stay unusual, ..."""
    sure: float = 8.0
    """... unless its surprise is as high as this."""
    end_factor: float = 1.5
    """Below this ratio of observed to expected posts a surge is about to end, ..."""
    quiet_seconds: float = 900.0
    """... and it ends after so long below it, ..."""
    longest_seconds: float = 24 * HOUR
    """... or at the latest after this time."""
    cool_down_seconds: float = 6 * HOUR
    """For so long after a surge began, the next one must be sure, and larger than the last was."""


SENSITIVITIES: Final = {"balanced": SurgeRule(), "more": SurgeRule(start=1.5, volatility=4.5)}
"""By how readily a brand wants to be told. On the tweets of NAB `more` catches what the market's most sensitive rules catch."""


class Deviation(NamedTuple):
    """How far one window is from the baseline; usually the one that ends now."""

    begins: float
    observed: float
    expected: float
    surprise: float
    volatility: float | None
    """In multiples of the brand's volatility; `None` during the first day."""
    ends: float
    lasted: float | None = None
    """Only of a window of the past, whose posts a source delivered late: for how many seconds of it posts came."""

    @property
    def factor(self) -> float:
        """The ratio of observed to expected posts."""
        return self.observed / self.expected


class Alarm(msgspec.Struct, array_like=True):
    """Where one brand is between quiet and surging."""

    since: float | None = None
    """Since when the window has been unusual without a break."""
    begins: float | None = None
    """When the surge began; `None` while there is none."""
    low_since: float | None = None
    """Since when the surge has been low enough to end."""
    started: float = -1e18
    """When the last surge was noticed."""
    peak: float = 0.0
    """The most posts in a window of the last surge."""

    def step(self, rule: SurgeRule, now: float, deviation: Deviation) -> str | None:
        """Returns `start` or `end` if the surge starts or ends with this deviation, `None` if nothing changes."""
        if self.begins is None:
            return self._begin(rule, now, deviation)
        self.peak = max(self.peak, deviation.observed)
        if deviation.lasted is not None:
            return None  # the past says nothing about whether it goes on
        too_long = now - self.begins >= rule.longest_seconds
        if deviation.factor >= rule.end_factor and not too_long:
            self.low_since = None
            return None
        if self.low_since is None:
            self.low_since = now
        if now - self.low_since < rule.quiet_seconds and not too_long:
            return None
        self.begins = self.since = self.low_since = None
        return "end"

    def _begin(self, rule: SurgeRule, now: float, deviation: Deviation) -> str | None:
        unusual = (
            deviation.surprise >= (rule.start_cold if deviation.volatility is None else rule.start)
            and (deviation.volatility is None or deviation.volatility >= rule.volatility)
            and deviation.factor >= rule.least_factor
            and deviation.observed >= rule.least_posts
        )
        if not unusual:
            if deviation.lasted is None:
                self.since = None
            return None
        if deviation.lasted is not None:
            lasted = deviation.lasted
        else:
            if self.since is None:
                self.since = now
            lasted = now - self.since
        sure = deviation.surprise >= rule.sure
        if now - self.started < rule.cool_down_seconds and not (sure and deviation.observed > self.peak):
            return None
        if not sure and lasted < rule.persists_seconds:
            return None
        self.begins, self.low_since, self.started, self.peak = deviation.begins, None, now, deviation.observed
        return "start"


class SurgeModel(msgspec.Struct, array_like=True):
    """The model of one brand: its baseline, its last buckets, and its alarm."""

    baseline: Baseline
    alarm: Alarm = msgspec.field(default_factory=Alarm)
    window: list[tuple[float, float, float]] = msgspec.field(default_factory=list)
    """(begin, posts, expected) of the last `KEPT_BUCKETS` buckets, the open one last."""
    volatility: float = 0.0
    """The mean square of the difference between a whole window and what was expected, incidents included."""
    blind: list[tuple[float, float]] = msgspec.field(default_factory=list)
    """(begin, end) of the last times in which a source saw nothing."""
    busiest: float = 0.0
    """The most posts so far in two buckets, one after the other. Surges count: only what outdoes them all proves itself."""

    @classmethod
    def new(cls, bucket_seconds: float = BUCKET_SECONDS) -> SurgeModel:
        """The model of a brand of which nothing is known."""
        return cls(Baseline(bucket_seconds))

    def advance(self, now: float) -> None:
        """Close the buckets that are over at `now`, and learn from them, also from empty ones."""
        seconds = self.baseline.seconds
        present = now // seconds * seconds
        if not self.window:
            self._open(present)
        last = self.window[-1][0]
        # After a very long silence only its last week is learned.
        at = max(last, present - MOST_BUCKETS * seconds) if present - last > MOST_BUCKETS * seconds else last
        while at < present:
            self._close()
            at += seconds
            self._open(at)

    def _close(self) -> None:
        """Learn from the newest bucket, which is over."""
        begin, posts, _ = self.window[-1]
        if not self._is_blind(begin):
            self._remember()
            self.baseline.learn(begin, posts)
            self.busiest = max(self.busiest, self._newest_two)

    def _open(self, begin: float) -> None:
        self.window = [*self.window, (begin, 0.0, self.baseline.expected(begin))][-KEPT_BUCKETS:]

    @property
    def recent(self) -> list[tuple[float, float, float]]:
        """The buckets of the window that ends now."""
        return self.window[-WINDOW_BUCKETS:]

    @property
    def _newest_two(self) -> float:
        """The posts in the last two buckets: those of the last five to ten minutes."""
        return sum(posts for _, posts, _ in self.window[-2:])

    @property
    def seen_seconds(self) -> float:
        """How much of the brand's own time the baseline rests on."""
        return self.baseline.buckets * self.baseline.seconds

    @property
    def baseline_known(self) -> bool:
        """Returns True if the baseline rests on the brand's own numbers (`KNOWN_SECONDS`)."""
        return self.seen_seconds >= KNOWN_SECONDS

    @property
    def own_factor(self) -> float | None:
        """How many times the busiest ten minutes so far the last ones are; `None` for a brand that was hardly seen before."""
        if self.baseline.buckets < OWN_BUCKETS:
            return None
        return self._newest_two / max(LEAST_BUSY, self.busiest)

    def _remember(self) -> None:
        off = sum(posts - mean for _, posts, mean in self.recent)
        self.volatility += (off * off - self.volatility) / min(
            VOLATILITY_SECONDS / self.baseline.seconds, self.baseline.buckets + 1
        )

    def add(self, at: float, count: float = 1.0) -> Deviation | None:
        """Count posts that were published at `at`.

        Posts that are too old for the window that ends now are judged where they happened: returns the deviation of the
        window of their own time, and `None` for others. There a storm that is delivered late is as dense as it was, and an
        ordinary catch-up as thin as ever.
        """
        for number in range(len(self.window) - 1, -1, -1):
            begin, posts, mean = self.window[number]
            if begin <= at:
                past = number < len(self.window) - WINDOW_BUCKETS
                if past:
                    self._learn_late(begin, posts, count, mean)
                self.window[number] = (begin, posts + count, mean)
                return self._late(number) if past else None
        return None

    def learn_past(self, at: float) -> None:
        """Count a post that was published at `at`, before the window that ends now, and judge nothing by it."""
        if self.window and at < self.recent[0][0]:
            self.add(at)

    def _learn_late(self, begin: float, posts: float, count: float, mean: float) -> None:
        if not self._is_blind(begin):
            most = usual_at_most(max(mean, self.baseline.expected(begin)), self.baseline.dispersion)
            self.baseline.learn_late(begin, min(posts + count, most) - min(posts, most))

    def _late(self, number: int) -> Deviation:
        # Some sources deliver the oldest posts first, others the newest.
        before = self.window[max(0, number - WINDOW_BUCKETS + 1) : number + 1]
        after = self.window[number : number + WINDOW_BUCKETS]
        deviation = max(self._deviation(before), self._deviation(after), key=lambda one: one.surprise)
        full = [start for start, posts, _ in self.window if posts and deviation.begins <= start < deviation.ends]
        return deviation._replace(lasted=full[-1] - full[0])

    def _is_blind(self, begin: float) -> bool:
        return any(start < begin + self.baseline.seconds and end > begin for start, end in self.blind)

    def lose_sight(self, begin: float, end: float) -> None:
        """Note that a source saw nothing between `begin` and `end`: nothing is learned from that time."""
        self.blind = [*self.blind, (begin, end)][-BLIND_SPELLS:]

    def learn_history(self, begin: float, counts: Sequence[float]) -> None:
        """Learn from whole buckets of a time before the brand was watched, the first of which began at `begin`."""
        past = SurgeModel(self.baseline, volatility=self.volatility, busiest=self.busiest)
        for number, count in enumerate(counts):
            past._open(begin + number * self.baseline.seconds)
            past.add(past.window[-1][0], count)
            past._close()
        self.volatility, self.busiest = past.volatility, past.busiest
        self.window = [(at, posts, self.baseline.expected(at)) for at, posts, _ in self.window]

    def measure(self, now: float) -> Deviation:
        """The deviation of the window that ends now."""
        deviation = self._deviation(self.recent)
        return deviation._replace(begins=deviation.begins if self.window else now, ends=now)

    def _deviation(self, window: list[tuple[float, float, float]]) -> Deviation:
        observed = sum(posts for _, posts, _ in window)
        mean = sum(expected for _, _, expected in window)
        baseline = self.baseline
        volatility = None
        if self.seen_seconds >= FIRST_DAY_SECONDS:
            volatility = (observed - mean) / math.sqrt(self.volatility + mean + 1.0)
        begins, ends = (window[0][0], window[-1][0] + baseline.seconds) if window else (0.0, 0.0)
        return Deviation(begins, observed, mean, surprise(observed, mean, baseline.dispersion), volatility, ends)
