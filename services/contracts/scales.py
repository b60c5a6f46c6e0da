"""The two scales in the words that people read: SEV1 (the worst) to SEV4 of incidents, mild to extreme of complaints.

The numbers stay what they are in the configuration, the API and every event; only people never see the two side by side,
where 1 is the worst of one scale and nearly the best of the other.
"""

from __future__ import annotations

from typing import Final

COMPLAINTS: Final = ("none", "mild", "moderate", "severe", "extreme")
"""The words for a complaint's severity, from 0 to 4."""


def sev(severity: int) -> str:
    """Returns the severity of an incident in words: `SEV1` is the worst."""
    return f"SEV{severity}"


def a_complaint(severity: int | None) -> str:
    """Returns a post with a complaint of this severity in words, with its article."""
    if not severity:
        return "a negative post"
    word = COMPLAINTS[min(severity, len(COMPLAINTS) - 1)]
    return f"{'an' if word == 'extreme' else 'a'} {word} complaint"
