"""Signals, cards and configurations for the alerter's tests, with everything sensible by default."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from alerter.incidents import telling
from alerter.incidents.model import Setting
from alerter.incidents.record import AnswerTerms, IncidentRecord, Message, Story, Transition
from alerter.incidents.telling import Announcement
from services.config.model import Config, Policy
from services.config.rule import Rule
from services.contracts.base import AccountId, BrandId, ConversationId, StoryId
from services.contracts.changed import PostEdited, PostShown, Said
from services.contracts.post import AuthorChanged, AuthorState, PostKind, SourcePolicy
from services.contracts.signal import (
    BrandSurge,
    CascadeForecast,
    CrossingTime,
    Evidence,
    Interval,
    Level,
    Line,
    Mood,
    PostAnswered,
    PostAsked,
    PostCard,
    PostFlagged,
    PostNegative,
    PostRedacted,
    PostUnread,
    Relevance,
    Sentiment,
    SurgePhase,
)

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
ACME = BrandId("acme")
LINE = Line(engagements=500)
STORY = "bsky:p1"


def card(post: str = "p1", **more: Any) -> PostCard:
    fields: dict[str, Any] = {
        "network": "bsky",
        "post_id": post,
        "kind": PostKind.ORIGINAL,
        "author": "@angry.example",
        "followers": 40,
        "text": f"the text of {post}",
        "permalink": f"https://bsky.example/post/{post}",
        "reply_link": f"https://bsky.example/reply/{post}",
        "account": AccountId("bsky:acme"),
        "at": NOW - timedelta(minutes=20),
        "negative": 0.9,
        "policy": SourcePolicy.TEXT_ALLOWED,
    }
    return PostCard(**(fields | more))


def evidence(**more: Any) -> Evidence:
    fields: dict[str, Any] = {
        "engagements": 60,
        "reposts": 30,
        "quotes": 5,
        "replies": 25,
        "reach": 9_000,
        "reach_known_share": 0.8,
        "rate_10m": 90.0,
        "rate_60m": 60.0,
        "age_seconds": 1200.0,
    }
    return Evidence(**(fields | more))


def forecast(number: int = 1, level: Level = Level.LIKELY, story: str = STORY, **more: Any) -> CascadeForecast:
    conversation = more.pop("conversation", story)
    fields: dict[str, Any] = {
        "brand": ACME,
        "story": StoryId(story),
        "conversation": ConversationId(conversation),
        "number": number,
        "level": level,
        "line": LINE,
        "horizon_seconds": 72 * 3600.0,
        "final_size": Interval(low=300, median=700, high=1400),
        "probability": 0.7,
        "crossing": CrossingTime(earliest=NOW + timedelta(minutes=45), expected=NOW + timedelta(hours=1)),
        "root": card(story.partition(":")[2]) if conversation == story else None,
        "evidence": evidence(),
        "reason": "reposts arrive faster than usual",
        "at": NOW,
        "model": "hawkes-1",
    }
    return CascadeForecast(**(fields | more))


def mood(negative: float = 0.8, usual: float = 0.2, scored: int = 40) -> Mood:
    return Mood(negative_share=negative, usual_share=usual, scored=scored)


def negative(post: str = "p1", severity: int | None = 3, story: str = STORY, **more: Any) -> PostNegative:
    fields: dict[str, Any] = {
        "brand": ACME,
        "story": StoryId(story),
        "conversation": ConversationId(story),
        "post": card(post),
        "sentiment": Sentiment(negative=0.9, neutral=0.08, positive=0.02),
        "complaint": 0.8,
        "severity": severity,
        "relevance": Relevance(score=0.99, reason="names the brand"),
        "model": "tiny-1",
    }
    return PostNegative(**(fields | more))


def flagged(post: str = "p1", story: str = STORY, **more: Any) -> PostFlagged:
    """A calm post about smoke."""
    fields: dict[str, Any] = {
        "brand": ACME,
        "story": StoryId(story),
        "conversation": ConversationId(story),
        "post": card(post, text="there is smoke in the cabin", negative=0.1),
        "topics": {"safety": ("smoke",)},
    }
    return PostFlagged(**(fields | more))


def unread(post: str = "p1", story: str = STORY, **more: Any) -> PostUnread:
    """A post in Malay, to the brand."""
    fields: dict[str, Any] = {
        "brand": ACME,
        "story": StoryId(story),
        "conversation": ConversationId(story),
        "post": card(post, text="teruk betul", language="en", negative=None),
        "language": "ms",
        "reason": "language: ms",
        "addressed": True,
    }
    return PostUnread(**(fields | more))


def asked(post: str = "p1", story: str = STORY, **more: Any) -> PostAsked:
    """A question, by an account that its network vouches for."""
    author = {"followers": 48_000, "verified": True} | more
    return PostAsked(
        brand=ACME,
        story=StoryId(story),
        conversation=ConversationId(story),
        post=card(post, text="Can your press office comment on the outage?", negative=None, **author),
    )


def answered(story: str = STORY, at: datetime = NOW) -> PostAnswered:
    return PostAnswered(
        brand=ACME, story=StoryId(story), conversation=ConversationId(story), post_id="p1", answer_id="a1", at=at
    )


def edited(text: str | None, *says: Said, post: str = "p1", story: str = STORY, **more: Any) -> PostEdited:
    """A post that says something else since a moment before `NOW`."""
    fields: dict[str, Any] = {"text": text, "negative": None, "edited_at": NOW - timedelta(minutes=1), **more}
    return PostEdited(
        brand=ACME,
        story=StoryId(story),
        conversation=ConversationId(story),
        post=card(post, **fields),
        says=says,
        complaint=0.9 if Said.NEGATIVE in says else None,
    )


def shown(post: str = "p1", story: str = STORY) -> PostShown:
    return PostShown(
        brand=ACME, story=StoryId(story), conversation=ConversationId(story), network="bsky", post_id=post, at=NOW
    )


def author(state: AuthorState = AuthorState.ERASED, who: str = "4711", at: datetime = NOW) -> AuthorChanged:
    return AuthorChanged(network="bsky", author_id=who, state=state, at=at)


def redacted(post: str = "p1", story: str = STORY, brand: str = "acme") -> PostRedacted:
    return PostRedacted(
        brand=BrandId(brand),
        story=StoryId(story),
        conversation=ConversationId(story),
        network="bsky",
        post_id=post,
        at=NOW,
    )


def surge(phase: SurgePhase = SurgePhase.START, minutes: int = 0, **more: Any) -> BrandSurge:
    fields: dict[str, Any] = {
        "brand": ACME,
        "phase": phase,
        "begins": NOW,
        "at": NOW + timedelta(minutes=minutes),
        "window_seconds": 600.0,
        "observed": 60,
        "expected": 10.0,
        "factor": 6.0,
        "surprise": 12.0,
        "reason": "six times the usual",
        "model": "surge-1",
    }
    return BrandSurge(**(fields | more))


def rule(**more: Any) -> Rule:
    fields: dict[str, Any] = {"id": "viral", "level": Level.LIKELY, "policy": "default", "playbook": "answer"}
    return Rule(**(fields | more))


POLICY = Policy.model_validate(
    {"id": "default", "steps": [{"endpoints": ["desk"]}, {"after_minutes": 5, "endpoints": ["all"]}]}
)


def config(**more: Any) -> Config:
    fields: dict[str, Any] = {
        "brands": [{"id": "acme", "name": "Acme", "line": {"engagements": 500}}, {"id": "other", "name": "Other"}],
        "rules": [
            {"id": "viral", "level": "likely", "policy": "default", "playbook": "answer"},
            {"id": "severe", "complaint_severity": 3, "policy": "default"},
            {"id": "surge", "surge_factor": 3, "policy": "default"},
        ],
        "policies": [POLICY.model_dump()],
        "playbooks": {"answer": "# When it spreads\n\n1. Answer in public, within the thread.\n2. Then in private.\n"},
    }
    return Config.model_validate(fields | more)


UNKNOWN = Story()


def setting(first_step: str | None = None, terms: AnswerTerms | None = None) -> Setting:
    return Setting("Acme", POLICY, first_step, terms or AnswerTerms())


def announced(before: IncidentRecord | None, transition: Transition, now: datetime) -> Announcement:
    """The transition with the decision whether people are told, where nothing but what the incident knows holds it back."""
    return telling.decide(before, transition, lambda record: record.incident.held, now)


def said(of: Transition | Announcement) -> Message:
    assert of.message is not None
    return of.message


def clock(minutes: int) -> str:
    """A time of day, as the configuration file says it."""
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
