"""Names the connectors as strings, so that a process imports only those that its configuration uses."""

from __future__ import annotations

from typing import Final

KINDS: Final[dict[str, str]] = {
    "app_store": "ingest.sources.reviews.app_store:build",
    "bluesky": "ingest.sources.bluesky.source:build",
    "chatwoot": "ingest.sources.helpdesks.chatwoot:build",
    "cloudevents": "ingest.sources.webhooks.cloudevents:build",
    "drop": "ingest.sources.drop:build",
    "feed": "ingest.sources.feeds.source:build",
    "google_business": "ingest.sources.reviews.google_business:build",
    "google_play": "ingest.sources.reviews.google_play:build",
    "kafka": "ingest.sources.topic_in:build",
    "mastodon": "ingest.sources.mastodon.source:build",
    "meta": "ingest.sources.meta.receiver:build",
    "reddit": "ingest.sources.reddit.connector:build",
    "standard_webhooks": "ingest.sources.webhooks.standard:build",
    "tiktok": "ingest.sources.tiktok.receiver:build",
    "webhook": "ingest.sources.webhooks.mapped:build",
    "x": "ingest.sources.x.source:build",
    "x_activity": "ingest.sources.x.activity:build",
    "youtube": "ingest.sources.youtube.connector:build",
    "zendesk": "ingest.sources.helpdesks.zendesk:build",
}
"""The `kind` of a connector in the configuration, and its `module:build`: one line a kind, in the order of the alphabet."""
