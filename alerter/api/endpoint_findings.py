"""Says in a line what is the matter with an endpoint that fails or is disabled: `firebreak doctor` tells it beside what else
is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from sqlalchemy import Connection

from alerter.api import schemas, views
from alerter.api.auth import ROOT, Caller
from alerter.api.endpoint_trouble import FINE, place
from alerter.api.scopes import Scope
from alerter.notify.health import TRIP_FAILURES
from alerter.states import EndpointState
from alerter.store import at_rest
from alerter.store.vault import Vault
from services.base.settings import Settings
from services.config.model import Config

MOST_DETAIL_CHARS: Final = 100
"""Of an answer."""


class EndpointFinding(NamedTuple):
    """What an operator should know of an endpoint. `is_wrong` if it only fails, and a policy pages it."""

    words: str
    is_wrong: bool


def of_settings(settings: Settings, config: Config) -> list[EndpointFinding]:
    """Returns what is the matter with endpoints by the database that the settings name. Raises `FirebreakError` if a key is
    malformed, a value cannot be read or the database does not answer."""
    inside, now = Caller(ROOT, Scope.READ), datetime.now(UTC)

    def read(connection: Connection) -> list[EndpointFinding]:
        return findings(views.endpoint_list(connection, inside, config).items, now)

    return at_rest.read(settings, read, Vault.from_settings(settings)) or []


def findings(every: Sequence[schemas.Endpoint], now: datetime) -> list[EndpointFinding]:
    """Returns in words what is the matter with those that fail or are disabled."""
    return [_finding(one, now) for one in every if place(one) < FINE]


def _finding(one: schemas.Endpoint, now: datetime) -> EndpointFinding:
    if one.state is EndpointState.DISABLED:
        said = [f"endpoint {one.name} is disabled: {one.disabled_because or 'by hand'}"]
    else:
        since = f" since {_utc(one.failing_since)}" if one.failing_since is not None else ""
        said = [f"endpoint {one.name} has been failing{since} ({_counted(one.failures, 'attempt')} in a row)"]
        if one.paused_until is not None and one.paused_until > now:
            said.append(f"paused until {_utc(one.paused_until)}")
    if one.waiting:
        oldest = f", the oldest since {_utc(one.waiting_since)}" if one.waiting_since is not None else ""
        said.append(f"{_counted(one.waiting, 'message')} waiting{oldest}")
    if one.last_answer is not None:
        answer, detail = one.last_answer, _printable(one.last_answer.detail or "")
        said.append(f"last answer: {answer.status or answer.outcome}" + (f", {detail}" if detail else ""))
    said.append(f"paged by {', '.join(one.policies)}" if one.policies else "no policy pages it")
    only_fails = one.state is EndpointState.ENABLED and one.failures >= TRIP_FAILURES
    return EndpointFinding("; ".join(said), only_fails and bool(one.policies))


def _utc(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text[:MOST_DETAIL_CHARS]).strip()


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
