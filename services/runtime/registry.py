"""Names the services as strings, so that the runner stands below what it runs and an ingest image never imports torch."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final, cast

from services.runtime.lifecycle import Service, ServiceContext

SERVICES: Final = {
    "ingest": "ingest.service:build",
    "scorer": "scorer.service:build",
    "alerter": "alerter.service:build",
}
"""In the order of the flow: stopped in this order, started in the opposite one."""

COMMANDS: Final = {
    "sources": "ingest.sources.cli:app",
    "scorer": "scorer.cli:app",
    "backtest": "scorer.backtest.cli:app",
    "alerter": "alerter.cli.app:app",
}
"""Further commands that a service brings to `firebreak`."""


def load(path: str) -> Any:
    """The object that `module:name` names."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


def build(name: str, context: ServiceContext) -> Service:
    return cast("Callable[[ServiceContext], Service]", load(SERVICES[name]))(context)
