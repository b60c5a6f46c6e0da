"""A webhook receiver as a customer would write it: checks the signature with the reference library, then believes it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from fastapi import FastAPI, Request, Response
from standardwebhooks import Webhook, WebhookVerificationError

from services.base.clock import Clock

MAX_BODY_BYTES = 1_000_000


class Webhooked(NamedTuple):
    """A verified message: `at` by the sink's clock."""

    at: datetime
    endpoint: str
    id: str
    body: Mapping[str, Any]


class Sink:
    """Takes messages at `/hooks/{name}`, for each name with a secret in `secrets`. What does not verify is refused, and
    counted."""

    def __init__(self, clock: Clock, on_message: Callable[[Webhooked], None] = lambda _: None) -> None:
        self.secrets: dict[str, str] = {}
        self.received: list[Webhooked] = []
        self.refused = 0
        self._clock = clock
        self.on_message = on_message
        self.is_down: Callable[[str], bool] = lambda _: False
        """Returns True for an endpoint that answers 503 now: a drill's outage."""

    def app(self) -> FastAPI:
        app = FastAPI(title="Firebreak sink", docs_url=None, redoc_url=None, openapi_url=None)
        app.add_api_route("/hooks/{name}", self._take, methods=["POST"])
        return app

    async def _take(self, name: str, request: Request) -> Response:
        body = b""
        async for piece in request.stream():
            body += piece
            if len(body) > MAX_BODY_BYTES:
                return Response(status_code=413)
        if self.is_down(name):
            return Response(status_code=503)
        secret = self.secrets.get(name)
        if secret is None:
            return Response(status_code=404)
        try:
            Webhook(secret).verify(body, dict(request.headers))
            parsed = json.loads(body)
        except (WebhookVerificationError, ValueError):
            self.refused += 1
            return Response(status_code=400)
        message = Webhooked(self._clock.now(), name, request.headers["webhook-id"], parsed)
        self.received.append(message)
        self.on_message(message)
        return Response(status_code=204)
