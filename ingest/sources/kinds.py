"""Names the connectors as strings, so that a process imports only those that its configuration uses."""

from __future__ import annotations

from typing import Final

KINDS: Final[dict[str, str]] = {
    "app-store": "ingest.sources.reviews.app_store:build",
    "drop": "ingest.sources.drop:build",
    "google-business": "ingest.sources.reviews.google_business:build",
    "google-play": "ingest.sources.reviews.google_play:build",
    "kafka": "ingest.sources.topic_in:build",
    "reddit": "ingest.sources.reddit.connector:build",
    "youtube": "ingest.sources.youtube.connector:build",
}
"""The `kind` of a connector in the configuration, and its `module:build`: one line a kind, in the order of the alphabet."""
