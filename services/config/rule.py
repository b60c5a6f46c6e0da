"""When to open an incident, as the configuration file says it: rules with their conditions, and the topics they may ask for."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, StringConstraints

from services.config.section import Section, Slug
from services.config.shipped_topics import SHIPPED_TOPICS
from services.contracts.base import Probability
from services.contracts.phrases import BESIDE, CANCELS
from services.contracts.signal import Level

Language = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{1,8})*$", max_length=35)]
Handle = Annotated[str, StringConstraints(pattern=r"^@?[^\s@]+(@[^\s@]+)?$", max_length=200)]


def _some_are_meant(words: tuple[str, ...]) -> tuple[str, ...]:
    if all(word.startswith((CANCELS, BESIDE)) for word in words):
        raise ValueError("name a word that is meant, too: one that begins with ! or ~ finds nothing by itself")
    return words


Topic = Annotated[
    tuple[
        Annotated[
            str,
            StringConstraints(
                pattern=r"^[!?~]?[^\s*!?~][^\s*]*\*?(\s+[^\s*]+\*?)*$",
                min_length=2,
                max_length=100,
                strip_whitespace=True,
            ),
        ],
        ...,
    ],
    AfterValidator(_some_are_meant),
    Field(
        min_length=1,
        max_length=500,
        description="words and phrases; `burn*` finds every word that begins so, `!fire sale` cancels what is found in it, "
        "`?trapped` needs a second word of the topic beside it, of which `~cabin` says nothing by itself",
    ),
]


GroupBy = Literal["account", "topic", "language", "source"]


def _each_once(names: tuple[GroupBy, ...]) -> tuple[GroupBy, ...]:
    if len(set(names)) < len(names):
        raise ValueError("name each of them once")
    return names


TOPICS: Final = SHIPPED_TOPICS
"""Topics that a rule may use without defining them: words that need a person, whatever the forecast says."""


class Rule(Section):
    """When to open an incident. Every condition that is given must hold; `brands`, `accounts`, `languages` and `sources`
    narrow it down, and empty means any."""

    id: Slug
    brands: tuple[Slug, ...] = ()
    accounts: tuple[Handle, ...] = Field((), description="network:handle of a brand's own account that it concerns")
    languages: tuple[Language, ...] = Field(
        (), description="of the root post, or most of a surge; `no` is `nb-NO` too, and regions do not count"
    )
    sources: tuple[Slug, ...] = Field((), description="networks, of the root post or most of a surge")
    level: Level | None = Field(None, description="at least this near the line")
    probability: Probability | None = Field(None, description="at least this sure that the line is crossed")
    predicted_size: Annotated[int, Field(ge=1)] | None = Field(
        None, description="engagements in the end: the forecast's median is at least this"
    )
    audience: Annotated[int, Field(ge=1)] | None = Field(
        None, description="followers reached so far (of a single post: its author's), at least"
    )
    mood: Probability | None = Field(None, description="negative share of the replies and quotes, at least")
    severity: Annotated[int, Field(ge=1, le=4)] | None = Field(
        None, description="at least this bad; 1 (SEV1) is the worst"
    )
    complaint: Probability | None = Field(None, description="at least this sure that a single post is a complaint")
    complaint_severity: Annotated[int, Field(ge=0, le=4)] | None = Field(
        None, description="of a single negative post, at least: 0 none, 1 mild, 2 moderate, 3 severe, 4 extreme"
    )
    asked: Literal[True] | None = Field(None, description="`true`: a single post that asks something")
    verified: Literal[True] | None = Field(
        None, description="`true`: the network vouches for the author, of a story for its first author or a loud voice"
    )
    topics: tuple[Slug, ...] = Field((), description="any of these is spoken of; see `topics` of the file")
    surge_factor: Annotated[float, Field(gt=1)] | None = Field(None, description="times the baseline, at least")
    raises_to: Annotated[int, Field(ge=1, le=4)] | None = Field(
        None, description="incidents of this rule are at least this severe, also those that are open already"
    )
    cool_down_minutes: Annotated[float, Field(ge=0, le=7 * 24 * 60)] = Field(
        30, description="for so long after an incident's end its story opens another one only if it got worse"
    )
    group_by: Annotated[
        tuple[GroupBy, ...], Field(json_schema_extra={"uniqueItems": True}), AfterValidator(_each_once)
    ] = Field(
        (),
        description="stories of one brand with the same values of these share one incident: while it is open, a further one "
        "that this rule would open an incident for joins it; without it every story has its own",
    )
    group_minutes: Annotated[float, Field(ge=1, le=7 * 24 * 60)] = Field(
        60, description="with `group_by`: how long after it opened an incident takes in further stories"
    )
    policy: Slug
    playbook: Slug | None = None

    @property
    def has_condition(self) -> bool:
        return bool(self.topics) or any(getattr(self, name) is not None for name in CONDITIONS)


CONDITIONS: Final = (
    "level",
    "probability",
    "predicted_size",
    "audience",
    "mood",
    "severity",
    "complaint",
    "complaint_severity",
    "surge_factor",
    "asked",
    "verified",
)
"""The conditions of a rule, besides `topics`. A rule needs one: if it only narrowed down, it would fire at everything."""
