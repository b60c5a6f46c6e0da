"""What a page says after an action, by the word in its address. A page never shows words taken from an address."""

from __future__ import annotations

from typing import Final

WORDS: Final = {
    "acknowledged": "You have it. Everybody who was told will hear so.",
    "resolved": "Marked as over. For ten minutes you can take that back.",
    "reopened": "It is open again. Everybody who was told will hear so.",
    "escalated": "The next step of the policy was done at once. Nobody has it until somebody takes it.",
    "paged": "They are being paged now. This is the incident that they take.",
    "snoozed": "Snoozed. It comes back by itself, and at once if it becomes SEV1.",
    "reassigned": "They have been asked to take it. Until they do, whoever has it keeps it.",
    "noted": "Noted. It stands on this page and in the next message; nobody is told of it alone.",
    "labelled": "Labelled.",
    "regraded": "Its severity is changed. Everybody who was told will hear so, and why.",
    "ticked": "Noted in the playbook.",
    "all-acknowledged": "You have them. Everybody who was told will hear so.",
    "all-resolved": "Marked as over. For ten minutes each can be taken back.",
    "marked": "Thank you. Your rating counts towards the precision of the alarms.",
    "tested": "A test message is on its way; it will show up below in a moment.",
    "enabled": "Messages go there again. Below you can resend what was cancelled in the meantime.",
    "resent": "It is being sent again under the same id.",
    "overridden": "The schedule is changed for that time only.",
    "removed": "Removed. The schedule is back to what it was.",
    "swapped": "Swapped. Each has the other's shift; to undo it, remove both below.",
    "taken": "Taken. The shift is no longer open.",
    "absent": "Noted. Their shifts in that time are filled by the next layer, or open below.",
    "code_sent": "A code is on its way there. Enter it within ten minutes.",
    "confirmed": "Confirmed: messages reach you there.",
    "method_tested": "A test message is on its way there.",
    "switched_off": "Switched off. No page comes by it until you switch it on again.",
    "switched_on": "Switched on. Pages come by it again.",
    "drill_confirmed": "Thank you. The drill knows that it reached you.",
    "saved": "Saved. It counts from now on; a schedule changes at its next hand-over.",
    "created": "Created. Send it a test message to see whether it works.",
    "changed": "Changed. What waits for it is tried again.",
    "silenced": "Nobody is told of that until it ends.",
    "changed-silence": "Changed. People are told at once of what it no longer covers.",
    "unsilenced": "Ended. People are told at once of what it held back.",
    "deleted": "Deleted.",
    "back": "Noted. Their shifts are theirs again from now on.",
}
