"""The connector to TikTok: its signature and its mapping.

TikTok tries for 72 hours to deliver what was not answered with 200, and does not say whether a later try is signed with a new
time. So a signature is believed for as long: refusing an old one would lose posts after every outage, and a replay stores
nothing twice.
"""

from __future__ import annotations

from ingest.sources.base import SourceContext
from ingest.sources.hooks.called import CalledSource, secrets_of
from ingest.sources.hooks.items import Owners
from ingest.sources.hooks.signatures import Pairs
from ingest.sources.tiktok.mapping import TikTokMapping
from services.base.errors import ConfigError
from services.config.connectors.tiktok import TikTokSection


def build(context: SourceContext) -> CalledSource:
    """Raises `ConfigError` if the secret is missing."""
    options = context.options
    if not isinstance(options, TikTokSection):
        raise ConfigError(f"the connector {options.name!r} is not of kind `tiktok`")
    mapping = TikTokMapping(
        context.network, Owners(context.network, context.brands, options.accounts, chosen=bool(options.brands))
    )
    return CalledSource(
        context.clock,
        Pairs(secrets_of(context, "client_secret"), "tiktok-signature", tolerance_seconds=options.tolerance_seconds),
        lambda request, now: mapping(request.body, now),
        silence_seconds=options.silence_seconds,
    )
