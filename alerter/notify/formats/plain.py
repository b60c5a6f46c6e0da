"""A title and plain lines, for e-mail, text messages and whatever else has no form of its own. Pure."""

from __future__ import annotations

from typing import Final

from alerter.notify.formats.notice import Notice, Status, cut

TITLE_CHARS: Final = 250
_FACT_CHARS: Final = 1000
_WORDS: Final = {
    Status.FIRING: "SEV{severity}",
    Status.ACKNOWLEDGED: "taken",
    Status.RESOLVED: "over",
    Status.NOTE: "note",
}


def title(notice: Notice) -> str:
    return cut(f"[{_WORDS[notice.status].format(severity=notice.severity)}] {notice.title}", TITLE_CHARS)


def lines(notice: Notice) -> str:
    facts = notice.facts or (("What", notice.because or notice.title),)
    said = [f"{name}: {cut(words, _FACT_CHARS)}" for name, words in facts]
    return "\n".join(said + [f"{name}: {url}" for _, name, url in notice.links])
