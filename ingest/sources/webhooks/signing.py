"""The check of signatures that the operator chose, with its secrets."""

from __future__ import annotations

from ingest.sources.base import SourceContext
from ingest.sources.hooks.called import secrets_of
from ingest.sources.hooks.signatures import Hmac, Shared, Signature, Standard
from services.config.connectors.signing import BearerToken, HmacHeader, Signing


def signature_of(context: SourceContext, signing: Signing) -> Signature:
    """Raises `ConfigError` if the secret is missing or is none of its scheme."""
    if isinstance(signing, BearerToken):
        return Shared(secrets_of(context, "token"), header=signing.header)
    secrets = secrets_of(context, "secret")
    if isinstance(signing, HmacHeader):
        return Hmac(
            secrets,
            signing.header,
            algorithm=signing.algorithm,
            encoding=signing.encoding,
            prefix=signing.prefix,
            time_header=signing.time_header,
            between=signing.between,
            tolerance_seconds=signing.tolerance_seconds,
        )
    return Standard(secrets, signing.tolerance_seconds)
