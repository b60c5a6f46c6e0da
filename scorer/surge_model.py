"""Many at once: is what comes in about a brand more than its own week explains? Pure; the clock comes in as a number.

The baseline of a brand is a count model for one bucket of time. Its mean has three layers, each of which falls back on the
one before as long as it has seen little: the brand's overall rate, the hour of the day, the hour of the week. Counts of posts
are over-dispersed (one event makes many people write), so a bucket is negative binomial with a dispersion that is learned as
well. It learns online, from the first bucket on; what looks like an incident is kept out, so that a storm does not become the
usual; where a source was blind nothing is learned. Beside it stands the brand's own tumult: how far whole windows strayed in
the last two weeks, incidents included. A brand that storms every other day must storm harder to be news.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import msgspec

HOUR: Final = 3_600.0
BUCKET_SECONDS: Final = 300.0
WINDOW_BUCKETS: Final = 6
"""Half an hour is looked at: at an hour alarms on NAB came later and missed more, at a quarter twice as many were false."""
KEPT_BUCKETS: Final = 72
"""So long (six hours) after a bucket was over, a source that delivers late may still add to it."""
MOST_BUCKETS: Final = 2016
TUMULT_SECONDS: Final = 14 * 86_400.0
FIRST_DAY_SECONDS: Final = 86_400.0
BLIND_SPELLS: Final = 8
WEEK_HOURS: Final = 168
DAY_HOURS: Final = 24
MEMORY_BUCKETS_A_SLOT: Final = 400.0
"""Older buckets of a slot fade: about six weeks of five-minute ones."""
PRIOR_BUCKETS: Final = 6.0
"""What a slot believes of the layer below it, in buckets: half an hour of five-minute ones."""
PRIOR_MEAN: Final = 0.5
"""Posts a bucket of a brand of which nothing is known."""
START_DISPERSION: Final = 0.3
LEAST_DISPERSION: Final = 0.02
MOST_DISPERSION: Final = 4.0
DISPERSION_BUCKETS: Final = 500.0
PRIOR_DISPERSION_BUCKETS: Final = 200.0
"""The dispersion begins with a belief worth so many buckets: a first lively hour must not make everything seem usual."""
OUTLYING_SURPRISE: Final = 2.5
"""A bucket less likely than 1 in 300 is cut to what is usual before it is learned: incidents stay out of the baseline, and
a level that stays high is adopted step by step."""
TAIL_TERMS: Final = 400


class Baseline(msgspec.Struct, array_like=True):
    """What is usual for one brand, by bucket of `seconds`."""

    seconds: float
    buckets: float = 0.0
    posts: float = 0.0
    day: list[float] = msgspec.field(default_factory=lambda: [0.0] * DAY_HOURS)
    day_buckets: list[float] = msgspec.field(default_factory=lambda: [0.0] * DAY_HOURS)
    week: list[float] = msgspec.field(default_factory=lambda: [0.0] * WEEK_HOURS)
    week_buckets: list[float] = msgspec.field(default_factory=lambda: [0.0] * WEEK_HOURS)
    dispersion: float = START_DISPERSION

    def expected(self, at: float) -> float:
        """Posts in the bucket at `at`."""
        hour = int(at // HOUR)
        # 1 January 1970 was a Thursday: any fixed origin of the week will do.
        of_day, of_week = hour % DAY_HOURS, hour % WEEK_HOURS
        overall = (self.posts + PRIOR_MEAN) / (self.buckets + 1.0)
        daily = (self.day[of_day] + PRIOR_BUCKETS * overall) / (self.day_buckets[of_day] + PRIOR_BUCKETS)
        return (self.week[of_week] + PRIOR_BUCKETS * daily) / (self.week_buckets[of_week] + PRIOR_BUCKETS)

    def learn(self, at: float, count: float) -> None:
        """One bucket that is over."""
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
        """Posts that came after their bucket at `at` had been learned: what is told late every day is usual too."""
        hour = int(at // HOUR)
        self.posts += count
        self.day[hour % DAY_HOURS] += count
        self.week[hour % WEEK_HOURS] += count


def _faded(number: float, total: float, count: float, memory: float) -> tuple[float, float]:
    keep = 1.0 - 1.0 / memory if number >= memory / 2 else 1.0
    return number * keep + 1.0, total * keep + count


def surprise(count: float, mean: float, dispersion: float) -> float:
    """-log10 P(at least `count`), negative binomial with variance mean + dispersion * mean^2."""
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
    """A high but ordinary bucket: two standard deviations."""
    return mean + 2.0 * math.sqrt(mean + dispersion * mean * mean)


class Rule(msgspec.Struct, frozen=True):
    """When a surge begins and ends. `start` is the surprise of the window that ends now; `tumult` how many times the
    brand's own restlessness of the last two weeks it must exceed, once that is known."""

    start: float = 4.0
    tumult: float = 8.0
    start_cold: float = 5.0
    """The surprise that it takes on the first day, when nothing is known of the brand's restlessness."""
    sure: float = 8.0
    """A surprise that needs no persistence."""
    persists_seconds: float = 120.0
    least_factor: float = 2.5
    least_posts: int = 8
    end_factor: float = 1.5
    quiet_seconds: float = 900.0
    cool_down_seconds: float = 6 * HOUR
    longest_seconds: float = 24 * HOUR


SENSITIVITIES: Final = {"balanced": Rule(), "more": Rule(start=1.5, tumult=4.5)}
"""By how readily a brand wants to be told. On NAB realTweets `more` catches what the market's most sensitive rules catch."""


class Sight(NamedTuple):
    """The window that ends now against its baseline."""

    begins: float
    observed: float
    expected: float
    surprise: float
    tumult: float | None
    """In standard deviations, incidents of the past among them; `None` during the first day."""
    ends: float
    lasted: float | None = None
    """Only of a window of the past, which a source told late: for how many seconds of it posts came."""

    @property
    def factor(self) -> float:
        return self.observed / self.expected


class Alarm(msgspec.Struct, array_like=True):
    """Where one brand is between quiet and surging; all times in epoch seconds."""

    since: float | None = None
    """The window has been unusual since then, without a break."""
    begins: float | None = None
    """The surge began; `None` while there is none."""
    low_since: float | None = None
    started: float = -1e18
    peak: float = 0.0

    def step(self, rule: Rule, now: float, sight: Sight) -> str | None:
        """`start` or `end` when that is what happens now. A second surge within the cool-down must be sure, and larger
        than the last was."""
        if self.begins is None:
            return self._begin(rule, now, sight)
        self.peak = max(self.peak, sight.observed)
        if sight.lasted is not None:
            return None  # the past says nothing about whether it goes on
        too_long = now - self.begins >= rule.longest_seconds
        if sight.factor >= rule.end_factor and not too_long:
            self.low_since = None
            return None
        if self.low_since is None:
            self.low_since = now
        if now - self.low_since < rule.quiet_seconds and not too_long:
            return None
        self.begins = self.since = self.low_since = None
        return "end"

    def _begin(self, rule: Rule, now: float, sight: Sight) -> str | None:
        unusual = (
            sight.surprise >= (rule.start_cold if sight.tumult is None else rule.start)
            and (sight.tumult is None or sight.tumult >= rule.tumult)
            and sight.factor >= rule.least_factor
            and sight.observed >= rule.least_posts
        )
        if not unusual:
            if sight.lasted is None:
                self.since = None
            return None
        if sight.lasted is not None:
            lasted = sight.lasted
        else:
            if self.since is None:
                self.since = now
            lasted = now - self.since
        sure = sight.surprise >= rule.sure
        if now - self.started < rule.cool_down_seconds and not (sure and sight.observed > self.peak):
            return None
        if not sure and lasted < rule.persists_seconds:
            return None
        self.begins, self.low_since, self.started, self.peak = sight.begins, None, now, sight.observed
        return "start"


class Watch(msgspec.Struct, array_like=True):
    """One brand: its baseline, the buckets of the window, and its alarm."""

    baseline: Baseline
    alarm: Alarm = msgspec.field(default_factory=Alarm)
    window: list[tuple[float, float, float]] = msgspec.field(default_factory=list)
    """(begin, posts, expected) of the last `KEPT_BUCKETS` buckets, the open one last."""
    tumult: float = 0.0
    """Mean square of what a whole window differed from what was expected, incidents included."""
    blind: list[tuple[float, float]] = msgspec.field(default_factory=list)

    @classmethod
    def new(cls, bucket_seconds: float = BUCKET_SECONDS) -> Watch:
        return cls(Baseline(bucket_seconds))

    def advance(self, now: float) -> None:
        """Close the buckets that are over and learn from them, silent ones too."""
        seconds = self.baseline.seconds
        present = now // seconds * seconds
        if not self.window:
            self._open(present)
        last = self.window[-1][0]
        # After a very long silence only its last week is learned.
        at = max(last, present - MOST_BUCKETS * seconds) if present - last > MOST_BUCKETS * seconds else last
        while at < present:
            begin, posts, _ = self.window[-1]
            if not self._is_blind(begin):
                self._remember()
                self.baseline.learn(begin, posts)
            at += seconds
            self._open(at)

    def _open(self, begin: float) -> None:
        self.window = [*self.window, (begin, 0.0, self.baseline.expected(begin))][-KEPT_BUCKETS:]

    @property
    def recent(self) -> list[tuple[float, float, float]]:
        """The buckets of the window that ends now."""
        return self.window[-WINDOW_BUCKETS:]

    def _remember(self) -> None:
        off = sum(posts - mean for _, posts, mean in self.recent)
        self.tumult += (off * off - self.tumult) / min(
            TUMULT_SECONDS / self.baseline.seconds, self.baseline.buckets + 1
        )

    def add(self, at: float, count: float = 1.0) -> Sight | None:
        """Posts at `at`. Those too old for the window that ends now are judged where they happened: the window of their
        own time is given back. A storm that is told late is as dense there as it was; a catch-up is as thin as ever."""
        for number in range(len(self.window) - 1, -1, -1):
            begin, posts, mean = self.window[number]
            if begin <= at:
                past = number < len(self.window) - WINDOW_BUCKETS
                if past:
                    self._learn_late(begin, posts, count, mean)
                self.window[number] = (begin, posts + count, mean)
                return self._late(number) if past else None
        return None

    def _learn_late(self, begin: float, posts: float, count: float, mean: float) -> None:
        if not self._is_blind(begin):
            most = usual_at_most(max(mean, self.baseline.expected(begin)), self.baseline.dispersion)
            self.baseline.learn_late(begin, min(posts + count, most) - min(posts, most))

    def _late(self, number: int) -> Sight:
        # Some sources tell the oldest first, others the newest.
        before = self.window[max(0, number - WINDOW_BUCKETS + 1) : number + 1]
        after = self.window[number : number + WINDOW_BUCKETS]
        sight = max(self._sight(before), self._sight(after), key=lambda one: one.surprise)
        full = [start for start, posts, _ in self.window if posts and sight.begins <= start < sight.ends]
        return sight._replace(lasted=full[-1] - full[0])

    def _is_blind(self, begin: float) -> bool:
        return any(start < begin + self.baseline.seconds and end > begin for start, end in self.blind)

    def lose_sight(self, begin: float, end: float) -> None:
        """A source saw nothing between: neither silence nor what comes in afterwards is learned."""
        self.blind = [*self.blind, (begin, end)][-BLIND_SPELLS:]

    def look(self, now: float) -> Sight:
        sight = self._sight(self.recent)
        return sight._replace(begins=sight.begins if self.window else now, ends=now)

    def _sight(self, window: list[tuple[float, float, float]]) -> Sight:
        observed = sum(posts for _, posts, _ in window)
        mean = sum(expected for _, _, expected in window)
        baseline = self.baseline
        tumult = None
        if baseline.buckets * baseline.seconds >= FIRST_DAY_SECONDS:
            tumult = (observed - mean) / math.sqrt(self.tumult + mean + 1.0)
        begins, ends = (window[0][0], window[-1][0] + baseline.seconds) if window else (0.0, 0.0)
        return Sight(begins, observed, mean, surprise(observed, mean, baseline.dispersion), tumult, ends)
