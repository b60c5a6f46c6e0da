"""The connector to Meta: its handshake, its signature, its mapping.

Meta asks once whether the address is ours (`hub.challenge`), signs each notification with the app's secret, tries again for 36
hours what was not answered with 200, and then leaves it.
"""

from __future__ import annotations

import hmac
import re
from typing import Final

from ingest.sources.base import Received, Refused, Reply, SourceContext
from ingest.sources.hooks.called import CalledSource, Handshake, secrets_of
from ingest.sources.hooks.items import Owners
from ingest.sources.hooks.signatures import Hmac
from ingest.sources.meta.mapping import MetaMapping
from services.base.errors import ConfigError
from services.config.connectors.meta import MetaSection

_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_.~-]{1,200}")


def build(context: SourceContext) -> CalledSource:
    """Raises `ConfigError` if a secret is missing."""
    options = context.options
    if not isinstance(options, MetaSection):
        raise ConfigError(f"the connector {options.name!r} is not of kind `meta`")
    owners = Owners(context.network, context.brands, options.accounts, chosen=bool(options.brands))
    mapping = MetaMapping(options.object, context.network, owners)
    return CalledSource(
        context.clock,
        Hmac(secrets_of(context, "app_secret"), "x-hub-signature-256", prefix="sha256="),
        lambda request, now: mapping(request.body, now),
        silence_seconds=options.silence_seconds,
        handshake=_handshake(secrets_of(context, "verify_token")),
    )


def _handshake(tokens: list[str]) -> Handshake:
    def answer(request: Received) -> Reply | None:
        """Meta asks whether the address is ours before it sends anything there."""
        if request.method != "GET":
            return None
        shown = request.query.get("hub.verify_token", "").encode("utf-8", "replace")
        known = [hmac.compare_digest(shown, token.encode()) for token in tokens]
        if request.query.get("hub.mode") != "subscribe" or not any(known):
            raise Refused("the verify token is missing or wrong")
        challenge = request.query.get("hub.challenge", "")
        if not _CHALLENGE.fullmatch(challenge):
            raise ValueError("`hub.challenge` is missing, or is none that Meta sends")
        return Reply(200, challenge.encode())

    return answer
