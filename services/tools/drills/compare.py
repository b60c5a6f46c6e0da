"""Two plays of the same night under different rules: who would have been told when, and how often. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.tools.drills.judge import Report
from services.tools.words import plural


@dataclass(frozen=True, slots=True)
class Difference:
    """One story about one brand: when somebody was told of it under either set of rules, in seconds of the story, or `None`
    if nobody was."""

    story: str
    brand: str
    before: float | None
    after: float | None

    @property
    def words(self) -> str:
        if self.before is None and self.after is None:
            return "nobody is told, as before"
        if self.before is None:
            return "told now, missed before"
        if self.after is None:
            return "missed now, told before"
        minutes = round((self.before - self.after) / 60)
        if minutes == 0:
            return "at the same minute"
        return f"{_many(abs(minutes), 'minute')} {'earlier' if minutes > 0 else 'later'}"


@dataclass(frozen=True, slots=True)
class Comparison:
    changes: Sequence[Difference]
    pages_before: int
    pages_after: int
    broken: Sequence[str]
    """What the script expects and the old rules did, but the new ones do not."""

    @property
    def summary(self) -> str:
        """Such as "14 minutes earlier, two pages fewer"."""
        both = [(c.before - c.after) / 60 for c in self.changes if c.before is not None and c.after is not None]
        parts = []
        if both:
            minutes = round(sum(both) / len(both))
            parts.append(
                "at the same time"
                if minutes == 0
                else f"{_many(abs(minutes), 'minute')} {'earlier' if minutes > 0 else 'later'}"
            )
        for words, found in (
            ("told that was missed", [c for c in self.changes if c.before is None and c.after is not None]),
            ("missed that was told", [c for c in self.changes if c.after is None and c.before is not None]),
        ):
            if found:
                parts.append(f"{_many(len(found), 'story')} {words}")
        fewer = self.pages_before - self.pages_after
        pages = "as many pages" if fewer == 0 else f"{_many(abs(fewer), 'page')} {'fewer' if fewer > 0 else 'more'}"
        return ", ".join([*parts, pages])


def compare(before: Report, after: Report) -> Comparison:
    told = [{(page.story, page.brand): page.told for page in report.told} for report in (before, after)]
    keys = sorted(told[0].keys() | told[1].keys())
    kept = {check.what for check in after.checks if check.ok}
    passed = sum(check.ok for check in before.checks)
    broken = [check.what for check in after.checks if not check.ok] if passed > len(kept) else []
    return Comparison(
        changes=[
            Difference(story, brand, told[0].get((story, brand)), told[1].get((story, brand))) for story, brand in keys
        ],
        pages_before=before.messages,
        pages_after=after.messages,
        broken=broken,
    )


def _many(number: int, what: str) -> str:
    words = {1: "one", 2: "two", 3: "three", 4: "four"}
    return f"{words.get(number, number)} {what if number == 1 else plural(what)}"
