"""Signs webhooks as Standard Webhooks 1.0.0 specifies. Pure.

The signature covers `{id}.{timestamp}.{raw body}`: the id of the delivery and the timestamp of the attempt. While a
secret is rotated out, each secret signs, and the receiver checks the signature that it knows.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets as entropy
from collections.abc import Sequence
from typing import Final

PREFIX: Final = "whsec_"
SECRET_BYTES: Final = 32
"""The specification requires 24 to 64."""


def new_secret() -> str:
    return PREFIX + base64.b64encode(entropy.token_bytes(SECRET_BYTES)).decode()


def key_of(secret: str) -> bytes:
    """Returns the key in a secret. Raises `ValueError`, whose message does not contain the secret."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("a webhook secret is not base64") from None
    if not 24 <= len(key) <= 64:
        raise ValueError("a webhook secret has 24 to 64 bytes")
    return key


def signature(secret: str, delivery: str, timestamp: int, body: bytes) -> str:
    signed = b"%s.%d.%s" % (delivery.encode(), timestamp, body)
    return "v1," + base64.b64encode(hmac.new(key_of(secret), signed, hashlib.sha256).digest()).decode()


def headers(secrets: Sequence[str], delivery: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Returns the three headers of one attempt."""
    return {
        "webhook-id": delivery,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signature(secret, delivery, timestamp, body) for secret in secrets),
    }
