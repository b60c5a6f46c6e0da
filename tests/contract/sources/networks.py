"""The networks of the contract suite, by the `kind` of their connector: a line each, in the order of the alphabet."""

from __future__ import annotations

from typing import Final

NETWORKS: Final[dict[str, str]] = {
    "bluesky": "tests.contract.sources.bluesky:BlueskyNetwork",
    "drop": "tests.contract.sources.drop:DropNetwork",
    "feed": "tests.contract.sources.feed:FeedNetwork",
    "mastodon": "tests.contract.sources.mastodon:MastodonNetwork",
}
