"""The networks of the contract suite, by the `kind` of their connector: a line each, in the order of the alphabet."""

from __future__ import annotations

from typing import Final

NETWORKS: Final[dict[str, str]] = {
    "app_store": "tests.contract.sources.polled:AppStoreNetwork",
    "bluesky": "tests.contract.sources.bluesky:BlueskyNetwork",
    "drop": "tests.contract.sources.drop:DropNetwork",
    "feed": "tests.contract.sources.feed:FeedNetwork",
    "google_business": "tests.contract.sources.polled:GoogleBusinessNetwork",
    "google_play": "tests.contract.sources.polled:GooglePlayNetwork",
    "mastodon": "tests.contract.sources.mastodon:MastodonNetwork",
    "reddit": "tests.contract.sources.polled:RedditNetwork",
    "x": "tests.contract.sources.x:XNetwork",
    "youtube": "tests.contract.sources.polled:YouTubeNetwork",
}
