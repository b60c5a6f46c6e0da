"""WebSub: a hub pushes what a feed gets, instead of our asking. https://www.w3.org/TR/websub/

Nothing is kept for it. The address that a hub is given for a feed carries a token, and each subscription has a secret; both
are derived from the one secret of the connector and the address of the feed. So another replica, or this one after a restart,
can tell what it asked for from what somebody else would like to send. A subscription is renewed when two thirds of its time
are over. Hubs forget, and they fail without a word: a feed that is pushed is still read, as rarely as a quiet one.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urljoin, urlsplit

import httpx2

LEASE_SECONDS: Final = 864_000
"""What we ask for: ten days. The hub decides."""
SHORTEST_LEASE: Final = timedelta(minutes=5)
LONGEST_LEASE: Final = timedelta(days=30)
AGAIN: Final = timedelta(hours=1)
"""A subscription that is not confirmed is asked for again after so long."""
RENEW_AT: Final = 2 / 3
MOST_CHALLENGE: Final = 1_000
_METHODS: Final = {"sha1": hashlib.sha1, "sha256": hashlib.sha256, "sha384": hashlib.sha384, "sha512": hashlib.sha512}
_LINKS: Final = re.compile(r"<([^<>]{1,1000})>([^<]{0,500})")


@dataclass(slots=True)
class Subscription:
    """One feed at one hub. `asked_at` is when the hub was last asked, `ends_at` until when it pushes; None before it said
    so."""

    hub: str
    topic: str
    asked_at: datetime | None = None
    ends_at: datetime | None = None

    def is_due(self, now: datetime) -> bool:
        if self.asked_at is None:
            return True
        if self.ends_at is None:
            return now - self.asked_at >= AGAIN
        return (
            now >= self.asked_at + (self.ends_at - self.asked_at) * RENEW_AT and now - self.asked_at >= SHORTEST_LEASE
        )


def token_of(secret: str, url: str) -> str:
    """What proves that we gave a hub this address."""
    return hmac.new(secret.encode(), b"address\0" + url.encode(), hashlib.sha256).hexdigest()[:32]


def secret_of(secret: str, url: str) -> str:
    return hmac.new(secret.encode(), b"secret\0" + url.encode(), hashlib.sha256).hexdigest()


def callback_of(base: str, secret: str, url: str) -> str:
    return f"{base}{'&' if '?' in base else '?'}feed={token_of(secret, url)}"


def feed_of(token: str, secret: str, urls: tuple[str, ...]) -> str | None:
    """The feed whose address this is. All are compared, in constant time each."""
    found = None
    for url in urls:
        if hmac.compare_digest(token_of(secret, url).encode(), token.encode("utf-8", "replace")):
            found = url
    return found


def is_signed(body: bytes, header: str, secret: str) -> bool:
    """True if the hub signed this body with the secret of the subscription (`X-Hub-Signature: sha256=...`)."""
    method, _, given = header.strip().partition("=")
    digest = _METHODS.get(method.lower())
    if digest is None:
        return False
    expected = hmac.new(secret.encode(), body, digest).hexdigest()
    return hmac.compare_digest(expected.encode(), given.strip().lower().encode("utf-8", "replace"))


def hub_in(link: str, url: str) -> tuple[str, str]:
    """The hub and the topic that a `Link` header names; empty where it names none."""
    found = {"hub": "", "self": ""}
    for address, rest in _LINKS.findall(link):
        for relation in re.findall(r'rel\s*=\s*"?([^";,]{1,100})', rest):
            for name in relation.lower().split():
                if name in found and not found[name]:
                    found[name] = urljoin(url, address)
    return found["hub"], found["self"]


def form_of(subscription: Subscription, callback: str, secret: str) -> Mapping[str, str]:
    return {
        "hub.mode": "subscribe",
        "hub.topic": subscription.topic,
        "hub.callback": callback,
        "hub.lease_seconds": str(LEASE_SECONDS),
        "hub.secret": secret,
    }


def lease_of(query: Mapping[str, str]) -> timedelta:
    said = query.get("hub.lease_seconds", "")
    lease = timedelta(seconds=int(said[:9])) if said.isascii() and said.isdigit() else timedelta(seconds=LEASE_SECONDS)
    return min(max(lease, SHORTEST_LEASE), LONGEST_LEASE)


async def subscribe(http: httpx2.AsyncClient, subscription: Subscription, callback: str, secret: str) -> str:
    """Ask the hub; it confirms by asking us. Returns why it does not want to, or nothing. A secret goes over TLS only."""
    if urlsplit(subscription.hub).scheme != "https" and urlsplit(subscription.hub).hostname not in ("127.0.0.1", "::1"):
        return "the hub has no https address"
    form = form_of(subscription, callback, secret)
    try:
        async with http.stream("POST", subscription.hub, data=dict(form), follow_redirects=False) as answer:
            return "" if answer.status_code in (200, 202, 204) else f"the hub answered {answer.status_code}"
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        return f"the hub cannot be reached ({type(error).__name__})"
