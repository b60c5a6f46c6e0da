"""Decides which of the brands in a text it is about, and why. Pure.

A text that names one brand is about that brand. Where it names several, most of them are not meant: they are praised to shame
another ("Learn from @Delta"), taken as a refuge ("Hello @JetBlue"), thanked in passing, or copied in. Each mention gets a role
from the words around it, a brand gets the best of its roles, and the role is the reason. No complaint is dropped for lack of a
target: where no brand is meant, the first one that may be is."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from services.contracts.post import Mention, MentionKind
from services.contracts.spelling import fold, origins

RELEVANT = 0.5
"""From this score on a text counts for a brand."""
NEAR_CHARS = 160
"""So far around a mention its role is looked for: a long sentence. What a pattern costs is bounded by it, whatever the text."""
LEAD_CHARS = 1_000
"""The longest row of handles that a text may open with, and still speak to the last of them: the networks allow some fifty."""
MOST_MENTIONS = 64
"""So many mentions are judged by the words around them; further ones are only named."""


class Role(StrEnum):
    """What a brand is in a text. The value is the reason that signals state."""

    OWN_ACCOUNT = "the brand wrote it itself"
    ONLY = "the only brand in the text"
    ADDRESSED = "addressed"
    BLAMED = "named with blame"
    NAMED = "named beside others"
    BESIDE = "named while another is addressed"
    CONVERSATION = "in the brand's conversation"
    ELSEWHERE = "in the brand's conversation, but about another"
    LOST = "loses a comparison"
    COMPARED = "only compared"
    REFUGE = "where the author would rather go"
    THANKED = "thanked in passing"
    COPIED = "copied in"


SCORES: dict[Role, float] = {
    Role.ONLY: 1.0,
    Role.ADDRESSED: 0.95,
    Role.BLAMED: 0.8,
    Role.NAMED: 0.7,
    Role.CONVERSATION: 0.8,
    Role.LOST: 0.6,
    Role.BESIDE: 0.4,
    Role.ELSEWHERE: 0.3,
    Role.COPIED: 0.3,
    Role.COMPARED: 0.15,
    Role.REFUGE: 0.1,
    Role.THANKED: 0.1,
    Role.OWN_ACCOUNT: 0.0,
}
"""How likely it is that a brand in this role is meant. Their order and `RELEVANT` decide; the tests say how often that is
right."""


@dataclass(frozen=True, slots=True)
class BrandRelevance:
    """How far a text is about a brand (0 to 1), and why."""

    score: float
    role: Role

    @property
    def reason(self) -> str:
        return self.role.value

    @property
    def counts(self) -> bool:
        """True if the text counts for the brand."""
        return self.score >= RELEVANT


_THANKS = (
    r"\b(?:thanks|thank you|thx|ty|kudos|props|shout ?out|s/o|congrats|congratulations|bravo|bless|grateful)"
    r"(?:\s+(?:to|so much|again|a lot|goodness|god))*(?:\s+for)?,?|\b(?:love|loving|loved|adore)(?:\s+you)?"
)
_WINS_OVER = (
    r"\b(?:beats?|beating|crush(?:es|ed)?|outdo(?:es)?|destroys?|better|nicer|faster|cheaper|easier|safer|sooner)"
    r"(?:\s+\w+)?(?:\s+than)?|\b(?:left|leaving|ditch(?:ed|ing)?|quit|dropp?(?:ed|ing)?)|>"
)
_GOING_TO = (
    r"\b(?:hello|hi there|hey|welcome back)|\bsee (?:you|ya) (?:on|at)"
    r"|\b(?:switch(?:ed|ing)?|mov(?:e|ed|ing)|go(?:ing)?|went|com(?:e|ing)|chang(?:e|ed|ing)|bumped|call(?:ed|ing)?"
    r"|tak(?:e|ing) [\w ]{1,30}|turn(?:ed|ing)?|stick(?:ing)?|stay(?:ing)?|book(?:ed|ing)?|hopped|pick(?:ed)?"
    r"|fl(?:y|ying|own|ew)|us(?:e|ing)|try(?:ing)?|tried|cho(?:ose|se|sen))"
    r"(?:\s+(?:back|over|now|only|it|to|on|with|through|for|instead|out|a))*"
    r"|\bnext time(?:\s+(?:i|we)\S*)?(?:\s+\w+){0,2}|\bshould(?:'ve| have)\s+\w+(?:\s+\w+){0,2}"
)
_YARDSTICK = (
    r"\b(?:learn|lesson|notes?|example|cue)\s+(?:\w+\s+){0,2}(?:from|of)"
    r"|\b(?:unlike|than|like|as|versus|vs\.?|compared (?:to|with)|over|instead of)"
    r"|\b(?:at least|even|meanwhile|whereas|while|bet|wish|why (?:is|can|does|do)|how (?:is|can|does|do))"
    r"|\bhad a problem with"
)
_REFUGE_AFTER = r"(?:it is|here (?:i|we) come|ftw|for the win|next time|from now on|instead)\b|!!"
_DOES_WELL = (
    r"(?:has|have|had|saves?|saved|gets? it|got|knows?|would(?:n't| not| never)?|does(?:n't| not)?"
    r"|never|did(?:n't| not)?|always|asked|asks|managed|beats?|(?:is|are|was|were) (?:way |much |so |far )*"
    r"(?:better|faster|cheaper|able|the best|best|great|amazing|awesome))\b"
)

_BEFORE: tuple[tuple[Role, re.Pattern[str]], ...] = tuple(
    (role, re.compile(rf"(?:{words})\s*(?:the\s+|our friends at\s+)?$", re.IGNORECASE))
    for role, words in (
        (Role.COPIED, r"\bcc:?|\bvia|\bh/t|\bfyi:?"),
        (Role.THANKED, _THANKS),
        (Role.LOST, _WINS_OVER),
        (Role.REFUGE, _GOING_TO),
        (Role.COMPARED, _YARDSTICK),
    )
)
"""The role that the words right before a mention give it; the first pattern that fits counts."""
_AFTER: tuple[tuple[Role, re.Pattern[str]], ...] = tuple(
    (role, re.compile(rf"^\W*(?:{words})", re.IGNORECASE))
    for role, words in ((Role.REFUGE, _REFUGE_AFTER), (Role.COMPARED, _DOES_WELL))
)
"""The same for the words right after it."""
_BLAME = re.compile(
    r"\b(?:worst|horr\w+|terrible|awful|hates?|sucks?|fail(?:s|ed|ure)?|rude|useless|ridiculous|disgust\w*|never ?again"
    r"|screwed|lost|broken?|delayed|difficult|stressful|scam|shame|pathetic|disappoint\w+|lie[sd])\b",
    re.IGNORECASE,
)
_LOSER_AFTER = re.compile(
    r"^\s*(?:>|beats?\b|crush(?:es|ed)?\b|outdo(?:es)?\b|destroys?\b|(?:is|are|was) (?:way |much |so |far )?"
    r"(?:better|nicer|faster|cheaper|easier|safer) than)",
    re.IGNORECASE,
)
_CLAUSE = re.compile(r"[.!?;\n]+(?=\s|$)|(?<=\w),\s+(?=but\b|and\b)|\s[-\u2013\u2014]+\s|\bbut\b", re.IGNORECASE)
_LEAD = re.compile(
    r"^[\s.\"'\u201c(]*(?:(?:hey|hi|hello|dear|yo|ok|okay|oh|sorry|so|well|rt)\b[\s,:]*)?(?:[@#\uff20\uff03]\w+[\s,:]*)*$",
    re.IGNORECASE,
)
_HASHTAG_SIGNS = "#\uff03"
_SIGNS = "@\uff20" + _HASHTAG_SIGNS


def judge(
    text: str, mentions: Sequence[Mention], *, author: str | None = None, inherited: Sequence[str] = ()
) -> dict[str, BrandRelevance]:
    """How far the text is about each brand that `mentions` names or that its conversation is about (`inherited`).

    `author` is the brand whose own account wrote the text. Mentions may come in any order.
    """
    ordered = sorted(mentions, key=lambda mention: mention.start)
    brands = {mention.brand for mention in ordered} - {author}
    if len(brands) > 1 and not (text.isascii() and "`" not in text):
        text, ordered = _folded(text, ordered)
    roles: dict[str, Role] = {}
    for number, mention in enumerate(ordered):
        far = Role.ONLY if len(brands) == 1 else Role.NAMED
        role = far if len(brands) == 1 or number >= MOST_MENTIONS else _role(text, mention, ordered)
        known = roles.get(mention.brand)
        if known is None or SCORES[role] > SCORES[known]:
            roles[mention.brand] = role
    _find_a_target(roles, ordered, author)
    others = any(SCORES[role] >= RELEVANT for brand, role in roles.items() if brand != author)
    for brand in inherited:
        roles.setdefault(brand, Role.ELSEWHERE if others else Role.CONVERSATION)
    if author is not None and author in roles:
        roles[author] = Role.OWN_ACCOUNT
    return {brand: BrandRelevance(SCORES[role], role) for brand, role in roles.items()}


def _folded(text: str, mentions: Sequence[Mention]) -> tuple[str, list[Mention]]:
    """The text as `spelling` folds it, with the mentions where they are in it: the words around them are read like names."""
    text = text.replace("\n\n", ";\n")  # blanks fold into one, and a paragraph ends a clause
    begins = [start for start, _ in origins(text)]
    return fold(text), [
        mention.model_copy(
            update={"start": bisect_left(begins, mention.start), "end": bisect_left(begins, mention.end)}
        )
        for mention in mentions
    ]


def _begin(text: str, mention: Mention) -> int:
    """Where the mention begins, with the sign of a hashtag that is a name: `#united` where only `united` is configured."""
    return mention.start - (mention.start > 0 and text[mention.start - 1] in _HASHTAG_SIGNS)


def _role(text: str, mention: Mention, mentions: Sequence[Mention]) -> Role:
    begin = _begin(text, mention)
    before, after = text[max(0, begin - NEAR_CHARS) : begin], text[mention.end : mention.end + NEAR_CHARS]
    leads = begin <= LEAD_CHARS and _LEAD.match(text[:begin]) is not None
    clause = _CLAUSE.split(before)[-1].rstrip(_SIGNS + ". ")
    # "A beats B": what stands right before B is A, so look past it.
    if _LOSER_AFTER.match(after):
        return Role.COMPARED
    first = mention is mentions[0]
    if not (first and leads):
        for role, pattern in _BEFORE:
            if pattern.search(clause):
                return role
        for role, pattern in _AFTER:
            if pattern.match(_CLAUSE.split(after)[0] or after[:3]):
                return role
    if leads:
        return Role.ADDRESSED
    if _BLAME.search(clause) or _BLAME.search(_CLAUSE.split(after)[0]):
        return Role.BLAMED
    # Whoever opens with a handle speaks to it; whom they name later is the company.
    opening = mentions[0]
    is_spoken_to = (
        opening.brand != mention.brand
        and opening.kind is MentionKind.HANDLE
        and opening.start <= LEAD_CHARS
        and _LEAD.match(text[: opening.start])
    )
    return Role.BESIDE if is_spoken_to else Role.NAMED


def _find_a_target(roles: dict[str, Role], mentions: Sequence[Mention], author: str | None) -> None:
    """Where no brand is left to be the target, it is the first one that was not thanked, nor fled to."""
    if any(SCORES[role] >= RELEVANT for brand, role in roles.items() if brand != author):
        return
    for mention in mentions:
        if mention.brand != author and roles[mention.brand] in (Role.COMPARED, Role.COPIED, Role.BESIDE):
            roles[mention.brand] = Role.NAMED
            return
