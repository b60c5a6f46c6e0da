"""Builds connectors that are called, and calls them as their networks do."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import importlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

from httpx2 import AsyncClient

from ingest.sources.base import Received, Reply, SourceContext
from ingest.sources.hooks.called import CalledSource
from services.base.clock import ManualClock
from services.config.connectors.called import CalledSection
from services.config.model import Account, Brand

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
UNIX = int(NOW.timestamp())
SECRETS = {"app_secret": "meta-app-secret", "verify_token": "typed-into-meta", "client_secret": "tiktok-secret"}


class FreePurse:
    """What nobody pays for (protocol `ingest.sources.base.Spend`)."""

    def may(self, dollars: float) -> bool:  # noqa: ARG002
        return True

    def paid(self, dollars: float) -> None: ...

    def share(self) -> float:
        return 1.0


@cache
def _no_client() -> AsyncClient:
    """What no connector that is called ever uses."""
    return AsyncClient()


def acme(network: str, *handles: str) -> Brand:
    accounts = tuple(Account(network=network, handle=handle, owner="team") for handle in handles)
    return Brand(id="acme", name="Acme Air", accounts=accounts)


def connector(
    module: str,
    options: CalledSection,
    network: str,
    secrets: Mapping[str, str] = SECRETS,
    handles: tuple[str, ...] = ("acme",),
) -> CalledSource:
    """The connector of this module, for a brand with these accounts on the network."""
    context = SourceContext(
        network=network,
        options=options,
        brands=(acme(network, *handles),),
        secrets=secrets,
        clock=ManualClock(NOW),
        http=_no_client(),
        spend=FreePurse(),
    )
    built: CalledSource = importlib.import_module(module).build(context)
    return built


def called(source: CalledSource, body: Any, headers: Mapping[str, str] | None = None, **more: Any) -> Reply:
    """The reply to a call with this body (as JSON, if it is not bytes)."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    names = {name.lower(): value for name, value in (headers or {}).items()}
    request = Received(more.get("method", "POST"), names, more.get("query", {}), content)
    return asyncio.run(source.receive(request))


def hexed(secret: str, content: bytes, algorithm: str = "sha256") -> str:
    return hmac.new(secret.encode(), content, getattr(hashlib, algorithm)).hexdigest()


def from_meta(body: Any, secret: str = SECRETS["app_secret"]) -> tuple[bytes, dict[str, str]]:
    """The body as Meta sends it, and its headers."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return content, {"X-Hub-Signature-256": f"sha256={hexed(secret, content)}"}


def of_page(*values: Mapping[str, Any], field: str = "feed", page: str = "100", time: int = UNIX) -> dict[str, Any]:
    """A notification about a page: each value is one change."""
    changes = [{"field": field, "value": value} for value in values]
    return {"object": "page", "entry": [{"id": page, "time": time, "changes": changes}]}
