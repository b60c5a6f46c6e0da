"""Proves to a system who we are, with secrets from the environment. Tokens of OAuth 2.0 are kept in memory until their end.

No secret is in a result, a log line or an error: what went wrong is said by status alone.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote_plus, urlencode

from alerter.notify.attempt import Result
from alerter.notify.http import HttpSender, Request
from alerter.notify.tickets.setup import BasicAuth, BearerAuth, ClientCredentials, HeaderAuth, TicketSetup
from alerter.states import AttemptOutcome

MAX_TOKEN_BYTES: Final = 32_000
USUAL_SECONDS: Final = 300.0
"""How long a token is used whose answer does not say how long it is valid."""
EARLY_SECONDS: Final = 60.0
"""How long before its end a token is used no more; of a short-lived one a fifth of its time, if that is less."""
MAX_TOKENS: Final = 1000


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    ends: float


class Proofs:
    """`environment` holds the secrets. `monotonic` returns seconds."""

    def __init__(
        self, sender: HttpSender, environment: Mapping[str, str], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._sender = sender
        self._environment = environment
        self._monotonic = monotonic
        self._tokens: dict[tuple[str, str, str], _Token] = {}
        self._fetching: dict[tuple[str, str, str], asyncio.Lock] = {}

    async def headers(self, setup: TicketSetup) -> dict[str, str] | Result:
        """Returns the headers that prove who we are, or the failure to get there."""
        missing = setup.missing(self._environment)
        if missing:
            return Result(AttemptOutcome.UNREACHABLE, detail=f"{missing[0]} is not set in the alerter's environment")
        auth = setup.auth
        if auth is None:
            return {}
        if isinstance(auth, BearerAuth):
            return _checked({"authorization": f"{auth.scheme} {self._environment[auth.token_env]}"})
        if isinstance(auth, HeaderAuth):
            return _checked({auth.header.lower(): self._environment[auth.token_env]})
        if isinstance(auth, BasicAuth):
            user = auth.user if auth.user_env is None else self._environment[auth.user_env]
            password = auth.password if auth.password_env is None else self._environment[auth.password_env]
            return {"authorization": _basic(f"{user}:{password}")}
        token = await self._token(auth)
        return token if isinstance(token, Result) else {"authorization": f"Bearer {token}"}

    def forget(self, setup: TicketSetup) -> bool:
        """Forget a token that was not accepted. Returns True if there was one, so that another may be tried."""
        if not isinstance(setup.auth, ClientCredentials):
            return False
        return self._tokens.pop(self._place(setup.auth), None) is not None

    def secrets(self, setup: TicketSetup) -> tuple[str, ...]:
        """Returns what no record may repeat."""
        auth = setup.auth
        found = [self._environment.get(name, "") for name in (auth.variables() if auth is not None else ())]
        if isinstance(auth, ClientCredentials) and (token := self._tokens.get(self._place(auth))) is not None:
            found.append(token.text)
        return tuple(found)

    def _place(self, auth: ClientCredentials) -> tuple[str, str, str]:
        # With the secret, so that a changed one is used at once, and no other endpoint gets the token of this one.
        secret = self._environment.get(auth.client_secret_env, "")
        return auth.token_url, f"{auth.client_id} {auth.scope or ''}", secret

    async def _token(self, auth: ClientCredentials) -> str | Result:
        place = self._place(auth)
        if len(self._fetching) > MAX_TOKENS:
            self._fetching.clear()
            self._tokens.clear()
        async with self._fetching.setdefault(place, asyncio.Lock()):
            known = self._tokens.get(place)
            if known is not None and self._monotonic() < known.ends:
                return known.text
            fetched = await self._fetched(auth)
            if isinstance(fetched, Result):
                return fetched
            self._tokens[place] = fetched
            return fetched.text

    async def _fetched(self, auth: ClientCredentials) -> _Token | Result:
        secret = self._environment[auth.client_secret_env]
        form = {"grant_type": "client_credentials"} | ({"scope": auth.scope} if auth.scope else {})
        headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
        if auth.sends == "body":
            form |= {"client_id": auth.client_id, "client_secret": secret}
        else:
            headers["authorization"] = _basic(f"{quote_plus(auth.client_id)}:{quote_plus(secret)}")
        request = Request(auth.token_url, headers, urlencode(form).encode(), answer_bytes=MAX_TOKEN_BYTES)
        result, body = await self._sender.ask(request)
        if result.outcome is not AttemptOutcome.DELIVERED:
            # What a token endpoint answers may hold a secret; and its 410 says nothing of the system itself.
            outcome = AttemptOutcome.REFUSED if result.outcome is AttemptOutcome.GONE else result.outcome
            what = f"answered {result.status}" if result.status is not None else f"did not answer ({outcome.value})"
            return Result(outcome, None, f"the token endpoint {what}", result.retry_after, result.seconds)
        token = _read(body)
        if token is None:
            return Result(AttemptOutcome.REFUSED, detail="the token endpoint's answer holds no token that can be used")
        text, seconds = token
        return _Token(text, self._monotonic() + seconds - min(EARLY_SECONDS, seconds / 5))


def _read(body: bytes) -> tuple[str, float] | None:
    """Returns the token in an answer, and for how many seconds it is valid."""
    try:
        answer: Any = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(answer, dict) or not isinstance(answer.get("access_token"), str):
        return None
    text, seconds = answer["access_token"], answer.get("expires_in")
    if not _printable(text) or str(answer.get("token_type", "bearer")).lower() != "bearer":
        return None
    if isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 < seconds < 10**9:
        return text, float(seconds)
    return text, USUAL_SECONDS


def _basic(both: str) -> str:
    return f"Basic {base64.b64encode(both.encode('utf-8', 'surrogateescape')).decode()}"


def _checked(headers: dict[str, str]) -> dict[str, str] | Result:
    if all(_printable(value) for value in headers.values()):
        return headers
    return Result(AttemptOutcome.UNREACHABLE, detail="a secret in the environment cannot stand in a header")


def _printable(text: str) -> bool:
    return 0 < len(text) <= 16_000 and all(" " <= char <= "~" for char in text)
