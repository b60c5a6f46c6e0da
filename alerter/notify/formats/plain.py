"""A title and plain lines, for e-mail, text messages and whatever else has no form of its own. Pure.

The same message in three lengths: the first that a service has room for is sent, and where even the shortest is too long, that
one in parts (`lengths`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from alerter.notify.formats.lengths import cut
from alerter.notify.formats.notice import Notice, Status

TITLE_CHARS: Final = 250
_FACT_CHARS: Final = 1000
_SHORT_CHARS: Final = 200
_REPLY: Final = "To take it"
_SHORT: Final = (
    "What changed",
    "Not delivered before",
    _REPLY,
    "By when",
    "Who has it",
    "First step",
    "What",
    "Code",
    "Endpoint",
)
_SHORTEST: Final = ("Not delivered before", "By when", "Who has it", "Code")
_SHORTEST_CHARS: Final = 120
_MENTION: Final = re.compile(r"@(?=(?:everyone|here|channel|all)\b)", re.IGNORECASE)
_WORDS: Final = {
    Status.FIRING: "SEV{severity}",
    Status.ACKNOWLEDGED: "taken",
    Status.RESOLVED: "over",
    Status.NOTE: "note",
    Status.DRILL: "drill",
}


def title(notice: Notice) -> str:
    """Returns the title on one line: in a mail it is a header."""
    said = f"[{_WORDS[notice.status].format(severity=notice.severity)}] {notice.title}"
    return cut(" ".join(_quiet(said).split()), TITLE_CHARS)


def lines(notice: Notice) -> str:
    """Returns all that the message states."""
    return _lines(notice.facts or (("What", notice.because or notice.title),), notice.links, _FACT_CHARS)


def forms(notice: Notice) -> tuple[str, ...]:
    """Returns the message in three lengths, the longest first."""
    short = [fact for fact in notice.facts if fact[0] in _SHORT] or [("What", notice.because or notice.title)]
    shortest = [fact for fact in notice.facts if fact[0] in _SHORTEST] or short[:1]
    acting = [link for link in notice.links if link[0] in ("acknowledge", "confirm", "incident")]
    # Where it is sent in parts the last may be left out, and who has the link finds all the rest.
    reply = [fact for fact in notice.facts if fact[0] == _REPLY]
    links_first = [
        line for line in (_lines(reply, acting, _SHORT_CHARS), _lines(shortest, (), _SHORTEST_CHARS)) if line
    ]
    return lines(notice), _lines(short, acting, _SHORT_CHARS), "\n".join(links_first)


def _lines(facts: Sequence[tuple[str, str]], links: Sequence[tuple[str, str, str]], chars: int) -> str:
    said = [f"{name}: {cut(_quiet(words), chars)}" for name, words in facts]
    return "\n".join(said + [f"{name}: {url}" for _, name, url in links])


def _quiet(text: str) -> str:
    """The text without what calls everybody in a chat: an invisible mark behind the sign takes its meaning."""
    return _MENTION.sub("@\u200b", text)
