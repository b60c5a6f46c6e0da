"""What Google Play, the App Store and Google's places send about reviews, as far as it is read."""

from __future__ import annotations

import msgspec

# Google Play: androidpublisher v3, `reviews.list`.


class PlayTime(msgspec.Struct):
    """`seconds` comes as a text."""

    seconds: str | int
    nanos: int = 0


class PlayUserComment(msgspec.Struct, rename="camel"):
    text: str = ""
    last_modified: PlayTime | None = None
    reviewer_language: str | None = None
    thumbs_up_count: int | None = None


class PlayDeveloperComment(msgspec.Struct, rename="camel"):
    text: str = ""
    last_modified: PlayTime | None = None


class PlayComment(msgspec.Struct, rename="camel"):
    user_comment: PlayUserComment | None = None
    developer_comment: PlayDeveloperComment | None = None


class PlayReview(msgspec.Struct, rename="camel"):
    review_id: str
    comments: list[PlayComment] = []


class PlayPaging(msgspec.Struct, rename="camel"):
    next_page_token: str | None = None


class PlayPage(msgspec.Struct, rename="camel"):
    """Without reviews the answer is `{}`."""

    reviews: list[msgspec.Raw] | None = None
    token_pagination: PlayPaging | None = None


# App Store Connect: JSON:API, `customerReviews` with the included `response`.


class AppleAttributes(msgspec.Struct, rename="camel"):
    """Of a review, or of an answer (`responseBody`, `lastModifiedDate`, `state`)."""

    title: str | None = None
    body: str | None = None
    created_date: str = ""
    response_body: str | None = None
    last_modified_date: str | None = None
    state: str | None = None


class AppleId(msgspec.Struct):
    id: str


class AppleLink(msgspec.Struct):
    data: AppleId | None = None


class AppleRelations(msgspec.Struct):
    response: AppleLink | None = None


class AppleResource(msgspec.Struct):
    id: str
    type: str
    attributes: AppleAttributes
    relationships: AppleRelations | None = None


class AppleLinks(msgspec.Struct):
    next: str | None = None


class ApplePage(msgspec.Struct):
    data: list[msgspec.Raw]
    links: AppleLinks
    included: list[msgspec.Raw] | None = None


# Google Business Profile: My Business v4, `accounts.locations.reviews`.


class PlaceAnswer(msgspec.Struct, rename="camel"):
    comment: str = ""
    update_time: str = ""


class PlaceReview(msgspec.Struct, rename="camel"):
    """`comment` is missing where somebody gave stars and no words."""

    review_id: str
    create_time: str
    update_time: str | None = None
    comment: str | None = None
    review_reply: PlaceAnswer | None = None


class PlacePage(msgspec.Struct, rename="camel"):
    """Without reviews the answer is `{}`."""

    reviews: list[msgspec.Raw] | None = None
    next_page_token: str | None = None
