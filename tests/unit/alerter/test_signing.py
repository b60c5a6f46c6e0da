"""Our signatures are what the reference implementation of Standard Webhooks makes and takes."""

from __future__ import annotations

import base64
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from alerter.notify import signing

IDS = st.from_regex(r"msg_[0-9a-f]{32}", fullmatch=True)
BODIES = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
SECRETS = st.binary(min_size=24, max_size=64).map(lambda raw: signing.PREFIX + base64.b64encode(raw).decode())


@given(SECRETS, IDS, BODIES, st.integers(0, 4_000_000_000))
def test_the_signature_is_the_reference_signature(secret: str, delivery: str, body: str, timestamp: int) -> None:
    ours = signing.signature(secret, delivery, timestamp, body.encode())
    assert ours == Webhook(secret).sign(delivery, datetime.fromtimestamp(timestamp, UTC), body)


@given(st.lists(SECRETS, min_size=1, max_size=3, unique=True), IDS, BODIES)
def test_while_a_secret_is_rotated_each_of_them_verifies(secrets: list[str], delivery: str, body: str) -> None:
    headers = signing.headers(secrets, delivery, int(time.time()), body.encode())
    assert headers["webhook-signature"].count(" ") == len(secrets) - 1
    for secret in secrets:
        Webhook(secret).verify(body, headers, json_parse=False)


@given(SECRETS, IDS, st.binary(min_size=1, max_size=100), st.integers(0, 99))
def test_a_body_that_was_changed_is_not_verified(secret: str, delivery: str, body: bytes, at: int) -> None:
    changed = bytearray(body)
    changed[at % len(body)] ^= 1
    first = signing.signature(secret, delivery, 1, body)
    assert first != signing.signature(secret, delivery, 1, bytes(changed))
    assert first != signing.signature(secret, delivery, 2, body)
    assert first != signing.signature(secret, delivery + "0", 1, body)


def test_an_old_attempt_is_refused_by_the_receiver() -> None:
    secret = signing.new_secret()
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify("{}", signing.headers([secret], "msg_1", int(time.time()) - 301, b"{}"))


def test_a_new_secret_has_32_random_bytes() -> None:
    secrets = {signing.new_secret() for _ in range(50)}
    assert len(secrets) == 50
    assert all(len(signing.key_of(secret)) == 32 and secret.startswith("whsec_") for secret in secrets)


@pytest.mark.parametrize("secret", ["whsec_short", "whsec_!!!", "", "whsec_" + base64.b64encode(b"x" * 23).decode()])
def test_a_bad_secret_is_refused_without_being_repeated(secret: str) -> None:
    with pytest.raises(ValueError, match="webhook secret") as error:
        signing.key_of(secret)
    assert not secret or secret not in str(error.value)
