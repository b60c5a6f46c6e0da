"""Names the connectors as strings, so that a process imports only those that its configuration uses."""

from __future__ import annotations

from typing import Final

KINDS: Final[dict[str, str]] = {
    "drop": "ingest.sources.drop:build",
    "kafka": "ingest.sources.topic_in:build",
    "x": "ingest.sources.x.source:build",
    "x-activity": "ingest.sources.x.activity:build",
}
"""The `kind` of a connector in the configuration, and its `module:build`: one line a kind, in the order of the alphabet."""
