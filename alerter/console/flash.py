"""What a page says after an action, by the word in its address: no page shows words that stand in an address."""

from __future__ import annotations

from typing import Final

WORDS: Final = {
    "acknowledged": "You have it. Everybody who was told hears so.",
    "resolved": "It is marked as over.",
    "snoozed": "It is put off. It comes back by itself, and at once if it becomes severity 1.",
    "reassigned": "They are asked to take it, and told so.",
    "marked": "Thank you: the next forecast is judged by what you say of this one.",
    "tested": "A test event is on its way; it shows below in a moment.",
    "enabled": "Messages go there again. What was cancelled meanwhile can be sent again below.",
    "resent": "It is being sent again, under the same id.",
    "overridden": "The schedule is changed, for that time alone.",
    "removed": "The schedule is as it was.",
}
