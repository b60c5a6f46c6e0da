"""What people said of an incident, as its record keeps it: the severity that they gave it, and what they did. Pure."""

from __future__ import annotations

from services.contracts.base import Part, Time


class Regraded(Part):
    """The severity that a person gave it, and which one it had by what was known then."""

    severity: int
    was: int

    def over(self, graded: int) -> int:
        """Returns the severity of an incident that is graded like this now: what a person said holds until more is known that
        makes it worse than it was then."""
        return self.severity if graded >= self.was else min(self.severity, graded)


class StepDone(Part):
    """A step of the playbook that somebody has done. It is known by its words, as playbooks change."""

    step: str
    by: str
    at: Time


def graded_by_hand(regraded: Regraded | None, graded: int | None, had: int) -> int:
    """Returns the severity of an incident that is graded like this by what is known (`None`: nothing grades it) and `had`
    another before."""
    if regraded is None:
        return had if graded is None else graded
    return regraded.over(regraded.was if graded is None else graded)
