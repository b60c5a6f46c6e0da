"""What may stand under `sources: listen:`, one section for each kind of connector: a file beside this one, and a line below."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from services.config.connectors.bluesky import BlueskySection
from services.config.connectors.drop import DropSection
from services.config.connectors.feeds import FeedSection
from services.config.connectors.helpdesks import ChatwootSection, ZendeskSection
from services.config.connectors.mastodon import MastodonSection
from services.config.connectors.meta import MetaSection
from services.config.connectors.polled import (
    AppStoreSection,
    GoogleBusinessSection,
    GooglePlaySection,
    RedditSection,
    YouTubeSection,
)
from services.config.connectors.tiktok import TikTokSection
from services.config.connectors.topic_in import TopicInSection
from services.config.connectors.webhooks import CloudEventsSection, StandardWebhooksSection, WebhookSection
from services.config.connectors.x import XActivitySection, XSection

# fmt: off
Connector = Annotated[
    AppStoreSection
    | BlueskySection
    | ChatwootSection
    | CloudEventsSection
    | DropSection
    | FeedSection
    | GoogleBusinessSection
    | GooglePlaySection
    | MastodonSection
    | MetaSection
    | RedditSection
    | StandardWebhooksSection
    | TikTokSection
    | TopicInSection
    | WebhookSection
    | XActivitySection
    | XSection
    | YouTubeSection
    | ZendeskSection,
    Field(discriminator="kind"),
]
# fmt: on
"""One line a kind, in the order of the alphabet."""
