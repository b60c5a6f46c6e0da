"""What reviews become: the root of a conversation, about the brand whose app or place it is, and the brand's answer to it.

No network tells an id of the reviewer, and two people of one name are two, so a review has no author. Stars are no words: they
are not put into the text, and stars without words are left out, because nobody can answer what was not said. An answer of the
brand is a reply by the account of the brand, which is how it counts as an answer. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from ingest.sources.polled.items import NotAPost, at_seconds, at_words, item
from ingest.sources.polled.lists import Listed
from ingest.sources.reviews.shapes import AppleResource, PlaceReview, PlayReview, PlayTime
from services.config.model import Brand

PUBLISHED: Final = "PUBLISHED"
_TRANSLATED: Final = re.compile(r"\(Original\)\s*", re.IGNORECASE)
"""Google puts its translation before or behind what people wrote, each under such a line."""
_BY_GOOGLE: Final = re.compile(r"\(Translated by Google\)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class BrandAnswer:
    text: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Review:
    """A review of any network. `listed` is the time by which its list is ordered, `edited` when its text was last changed where
    the network tells that apart."""

    id: str
    text: str
    listed: datetime
    at: datetime
    version: str
    edited: datetime | None = None
    language: str | None = None
    answer: BrandAnswer | None = None


@dataclass(frozen=True, slots=True)
class ReviewMapping:
    """For one app or place. `account` is what the brand's account there is called in the configuration."""

    network: str
    brands: tuple[str, ...]
    account: str
    permalink: Callable[[str], str | None] = lambda _: None

    def entries(self, review: Review) -> list[Listed]:
        """The review and its answer, each with a version of its own. Both stand at the review's place in the list."""
        found: list[Listed] = []
        if review.text.strip():
            found.append(self._review(review))
        if review.answer is not None and review.text.strip():
            found.append(self._answer(review, review.answer))
        return found or [Listed(review.id, review.version, review.listed, ())]

    def _review(self, review: Review) -> Listed:
        edited = None if review.edited is None else review.edited.isoformat()
        first = item(
            self.network,
            "original",
            review.id,
            text=review.text,
            language=review.language,
            permalink=self.permalink(review.id),
            platform_at=review.at.isoformat(),
            edited_at=edited,
            brands=list(self.brands),
        )
        edit = self._edit(review.id, review.text, edited or review.listed.isoformat(), {})
        heard = (first,) if edited is None else (first, edit)
        return Listed(review.id, review.version, review.listed, heard, (edit,))

    def _answer(self, review: Review, answer: BrandAnswer) -> Listed:
        name = f"{review.id}/answer"
        place = {"root_id": review.id, "parent_id": review.id}
        at = answer.at.isoformat()
        by = {"id": self.account, "handle": self.account}
        first = item(self.network, "reply", name, author=by, text=answer.text, platform_at=at, **place)
        return Listed(name, answer.text, review.listed, (first,), (self._edit(name, answer.text, at, place),))

    def _edit(self, name: str, text: str, at: str, place: Mapping[str, str]) -> dict[str, Any]:
        return item(self.network, "edit", name, text=text, edited_at=at, platform_at=at, **place)


def account_of(brands: tuple[Brand, ...], network: str, otherwise: str) -> str:
    """The first account on this network that the brands' configuration names."""
    accounts = (account for brand in brands for account in brand.accounts if account.network == network)
    return next((account.handle for account in accounts), otherwise)


def of_play(review: PlayReview) -> Review | None:
    """`None` where nobody has written anything. Google Play tells only when a review was changed last."""
    said = next((part.user_comment for part in review.comments if part.user_comment is not None), None)
    if said is None:
        return None
    at = _play_time(said.last_modified)
    told = next((part.developer_comment for part in review.comments if part.developer_comment is not None), None)
    answer = None
    if told is not None and told.text.strip():
        answer = BrandAnswer(told.text, _play_time(told.last_modified) if told.last_modified else at)
    # A review has its title before a tab.
    text = "\n\n".join(part.strip() for part in said.text.split("\t", 1) if part.strip())
    return Review(review.review_id, text, at, at, text, language=said.reviewer_language, answer=answer)


def of_apple(review: AppleResource, answers: Mapping[str, AppleResource]) -> Review:
    """An edit keeps the date, so only the text tells it."""
    said = review.attributes
    at = at_words(said.created_date)
    text = "\n\n".join(part for part in (said.title, said.body) if part and part.strip())
    link = review.relationships.response if review.relationships else None
    told = answers.get(link.data.id) if link and link.data else None
    answer = None
    if told is not None and told.attributes.state == PUBLISHED and told.attributes.response_body:
        answered = told.attributes.last_modified_date
        answer = BrandAnswer(told.attributes.response_body, at_words(answered) if answered else at)
    return Review(review.id, text, at, at, text, answer=answer)


def of_place(review: PlaceReview) -> Review:
    at = at_words(review.create_time)
    changed = at_words(review.update_time) if review.update_time else at
    text = _as_written(review.comment or "")
    told = review.review_reply
    answer = None
    if told is not None and told.comment.strip():
        answer = BrandAnswer(_as_written(told.comment), at_words(told.update_time) if told.update_time else changed)
    return Review(review.review_id, text, changed, at, text, edited=changed if changed > at else None, answer=answer)


def _as_written(text: str) -> str:
    """Without the translation that Google adds."""
    if not _BY_GOOGLE.search(text):
        return text
    before, *behind = _TRANSLATED.split(text, maxsplit=1)
    original = behind[0] if behind else _BY_GOOGLE.split(before, maxsplit=1)[0]
    original = _BY_GOOGLE.split(original, maxsplit=1)[0].strip()
    return original or text


def _play_time(time: PlayTime | None) -> datetime:
    if time is None:
        raise NotAPost("a review without a time")
    try:
        return at_seconds(float(time.seconds) + time.nanos / 1e9)
    except ValueError:
        raise NotAPost("a time that is none") from None
