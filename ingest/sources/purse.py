"""What a source may spend (protocol `ingest.sources.base.Spend`): budgets of a day and of a month, by the UTC calendar.

The counters travel with the cursor, so a restart or another holder goes on counting. Toward the end of a budget the source is
told which share of what there is to hear it can still afford; when nothing is left the runner says so (`why_empty`).
"""

from __future__ import annotations

import calendar
from datetime import UTC, datetime, timedelta
from typing import Final

from ingest.sources.state import Spent
from services.base.clock import Clock
from services.config.connectors.base import Spending

DAY_SECONDS: Final = 86_400.0
LEAST_SECONDS: Final = 3_600.0
"""The first hour of a day says too little about the rest of it; it is taken for an hour at least."""


class Purse:
    """The purse of one source."""

    def __init__(self, budget: Spending, clock: Clock, spent: Spent = Spent()) -> None:  # noqa: B008 - frozen
        self._budget = budget
        self._clock = clock
        self._spent = spent
        self._empty = False

    @property
    def spent(self) -> Spent:
        """As of now."""
        self._spent = self._spent.at(self._clock.now())
        return self._spent

    def may(self, dollars: float) -> bool:
        fits = dollars <= self._left()
        self._empty = not fits
        return fits

    def paid(self, dollars: float) -> None:
        self._spent = self.spent.plus(dollars)

    def share(self) -> float:
        now, spent = self._clock.now(), self.spent
        gone = max(LEAST_SECONDS, seconds_of_day(now))
        ahead = spent.today / gone * (DAY_SECONDS - seconds_of_day(now))
        if ahead <= 0:
            return 1.0 if self._left() > 0 or not self._has_budget else 0.0
        return max(0.0, min(1.0, self._for_today(now) / ahead))

    @property
    def why_empty(self) -> str | None:
        """Why the last call could not be paid; `None` if it could."""
        if not self._empty or not self._has_budget:
            return None
        now, spent, budget = self._clock.now(), self.spent, self._budget
        if budget.month_dollars is not None and spent.this_month >= budget.month_dollars - self._smallest(now):
            return f"the budget of the month ({budget.month_dollars:g} dollars) is spent"
        return f"the budget of the day ({budget.day_dollars or budget.month_dollars:g} dollars) is spent"

    def refills_at(self) -> datetime:
        """When a budget that is spent begins anew."""
        now = self._clock.now().astimezone(UTC)
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        month = self._budget.month_dollars
        if month is not None and self.spent.this_month >= month - self._smallest(now):
            return midnight.replace(day=1) + timedelta(days=calendar.monthrange(now.year, now.month)[1])
        return midnight + timedelta(days=1)

    @property
    def _has_budget(self) -> bool:
        return self._budget.day_dollars is not None or self._budget.month_dollars is not None

    def _left(self) -> float:
        spent, lefts = self.spent, [float("inf")]
        if self._budget.day_dollars is not None:
            lefts.append(self._budget.day_dollars - spent.today)
        if self._budget.month_dollars is not None:
            lefts.append(self._budget.month_dollars - spent.this_month)
        return min(lefts)

    def _for_today(self, now: datetime) -> float:
        """What may still be spent today, if the rest of the month is to have as much a day."""
        lefts = [float("inf")]
        spent = self.spent
        if self._budget.day_dollars is not None:
            lefts.append(self._budget.day_dollars - spent.today)
        if self._budget.month_dollars is not None:
            days = calendar.monthrange(now.year, now.month)[1] - now.day + 1
            before = spent.this_month - spent.today
            lefts.append((self._budget.month_dollars - before) / days - spent.today)
        return max(0.0, min(lefts))

    def _smallest(self, now: datetime) -> float:
        """What is too little of a month's budget to go on with today: a hundredth of a day's part."""
        month = self._budget.month_dollars or 0.0
        return month / calendar.monthrange(now.year, now.month)[1] / 100


def seconds_of_day(now: datetime) -> float:
    now = now.astimezone(UTC)
    return now.hour * 3600 + now.minute * 60 + now.second + now.microsecond / 1e6
