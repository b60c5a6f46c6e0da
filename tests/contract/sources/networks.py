"""The networks of the contract suite, by the `kind` of their connector: a line each, in the order of the alphabet."""

from __future__ import annotations

from typing import Final

NETWORKS: Final[dict[str, str]] = {
    "drop": "tests.contract.sources.drop:DropNetwork",
    "x": "tests.contract.sources.x:XNetwork",
}
