"""The networks of the contract suite, by the `kind` of their connector: a line each, in the order of the alphabet."""

from __future__ import annotations

from typing import Final

NETWORKS: Final[dict[str, str]] = {
    "app-store": "tests.contract.sources.polled:AppStoreNetwork",
    "drop": "tests.contract.sources.drop:DropNetwork",
    "google-business": "tests.contract.sources.polled:GoogleBusinessNetwork",
    "google-play": "tests.contract.sources.polled:GooglePlayNetwork",
    "reddit": "tests.contract.sources.polled:RedditNetwork",
    "youtube": "tests.contract.sources.polled:YouTubeNetwork",
}
