"""A system with tickets, on loopback: it keeps what it was sent, answers as each vendor does, and misbehaves when told to."""

from __future__ import annotations

import asyncio
import json
import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from tests.integration.alerter import receiver
from tests.integration.alerter.receiver import Answer, Got, Receiver

KEY = re.compile(r"firebreak-[0-9a-z_]{20,40}")
TOKEN = "/oauth/token"


@dataclass(frozen=True)
class Dialect:
    """How one vendor speaks. `makes` recognises a request that opens a ticket, `finds` one that looks for it."""

    makes: tuple[str, str]
    made: Callable[[int], Any]
    finds: tuple[str, str] | None = None
    found: Callable[[int | None, str], Any] = lambda _number, _key: {}
    values: Mapping[str, str] = field(default_factory=dict)
    auth: Mapping[str, Any] = field(default_factory=lambda: {"kind": "bearer", "token_env": "FIREBREAK_OUTLET_TEST"})
    closes: Callable[[str, Any], bool] = lambda _path, _body: False
    """Whether a request that was not one of the others ends the ticket."""


def _closed(*where: str, is_: Any) -> Callable[[str, Any], bool]:
    def closes(_path: str, body: Any) -> bool:
        for step in where:
            body = body.get(step) if isinstance(body, dict) else None
        return bool(body == is_)

    return closes


BASIC = {"kind": "basic", "user": "me@example.com/token", "password_env": "FIREBREAK_OUTLET_TEST"}
DIALECTS: Mapping[str, Dialect] = {
    "zendesk": Dialect(
        ("POST", r"/api/v2/tickets\.json"),
        lambda number: {"ticket": {"id": number, "subject": "x" * 5000}},
        ("GET", r"/api/v2/tickets\.json\?external_id="),
        lambda number, _: {"tickets": [{"id": number}] if number else []},
        auth=BASIC,
        closes=_closed("ticket", "status", is_="solved"),
    ),
    "freshdesk": Dialect(
        ("POST", "/api/v2/tickets"),
        lambda number: {"id": number},
        ("GET", r"/api/v2/tickets\?email="),
        lambda number, key: [{"id": 7, "tags": ["other"]}, *([{"id": number, "tags": ["a", key]}] if number else [])],
        {"requester_email": "firebreak@example.com"},
        {"kind": "basic", "user_env": "FIREBREAK_OUTLET_TEST", "password": "X"},
        _closed("status", is_=4),
    ),
    "servicenow": Dialect(
        ("POST", r"/api/now/table/incident\?"),
        lambda number: {"result": {"sys_id": f"s{number}", "number": f"INC{number}"}},
        ("GET", r"/api/now/table/incident\?sysparm_query=correlation_id="),
        lambda number, _: {"result": [{"sys_id": f"s{number}", "number": f"INC{number}"}] if number else []},
        closes=_closed("state", is_="6"),
    ),
    "jira-service-management": Dialect(
        ("POST", "/rest/api/3/issue"),
        lambda number: {"id": str(number), "key": f"ITSM-{number}"},
        ("GET", r"/rest/api/3/search/jql\?jql=labels="),
        lambda number, _: {"issues": [{"id": str(number), "key": f"ITSM-{number}"}] if number else []},
        {"project": "ITSM", "done_transition": "31", "reopen_transition": "11"},
        BASIC,
        _closed("transition", "id", is_="31"),
    ),
    "salesforce-case": Dialect(
        ("PATCH", r"/services/data/v62\.0/sobjects/Case/Firebreak_Key__c/"),
        lambda number: {"id": f"500{number}", "success": True, "errors": []},
        closes=_closed("Status", is_="Closed"),
    ),
    "genesys-open-messaging": Dialect(
        ("POST", "/api/v2/conversations/messages/int-1/inbound/open/message"),
        lambda number: {"id": f"m{number}"},
        values={"integration_id": "int-1"},
    ),
    "opsgenie": Dialect(
        ("POST", "/v2/alerts"),
        lambda number: {"result": "Request will be processed", "requestId": f"r{number}"},
        auth={"kind": "bearer", "scheme": "GenieKey", "token_env": "FIREBREAK_OUTLET_TEST"},
        closes=lambda path, _: "/close?" in path,
    ),
    "grafana-irm": Dialect(("POST", "/"), lambda _: "Ok.", auth={}, closes=_closed("state", is_="ok")),
    "goalert": Dialect(("POST", "/api/v2/generic/incoming"), lambda _: {}, closes=_closed("action", is_="close")),
    "chatwoot": Dialect(
        ("POST", "/api/v1/accounts/1/conversations"),
        lambda number: {"id": number, "account_id": 1, "inbox_id": 2},
        ("GET", "/api/v1/accounts/1/contacts/3/conversations"),
        lambda number, key: {
            "payload": [{"id": number, "custom_attributes": {"firebreak_key": key}}] if number else []
        },
        {"account_id": "1", "inbox_id": "2", "contact_id": "3", "source_id": "s-4"},
        {"kind": "header", "header": "api_access_token", "token_env": "FIREBREAK_OUTLET_TEST"},
        _closed("status", is_="resolved"),
    ),
}

Fault = Callable[["Vendor", Got, asyncio.StreamWriter], Any]


async def taken_then_reset(vendor: Vendor, got: Got, writer: asyncio.StreamWriter) -> None:
    """It does what it was asked for, and nobody hears so."""
    vendor.take(got)
    await receiver.reset(got, writer)


async def taken_then_stalls(vendor: Vendor, got: Got, writer: asyncio.StreamWriter) -> None:
    vendor.take(got)
    await receiver.stall(got, writer)


def taken_then(code: int) -> Fault:
    """It does what it was asked for, and a proxy answers in its place."""

    async def answer(vendor: Vendor, got: Got, writer: asyncio.StreamWriter) -> None:
        vendor.take(got)
        await receiver.status(code)(got, writer)

    return answer


async def taken_and_not_told(vendor: Vendor, got: Got, writer: asyncio.StreamWriter) -> None:
    """It says yes, and its answer is cut off."""
    vendor.take(got)
    await receiver.status(201, body=b'{"tick')(got, writer)


def says(code: int, *headers: str) -> Fault:
    async def refuse(_vendor: Vendor, got: Got, writer: asyncio.StreamWriter) -> None:
        await receiver.status(code, *headers)(got, writer)

    return refuse


@dataclass
class Vendor(Receiver):
    """`faults` are what becomes of the next requests that open a ticket."""

    dialect: Dialect = DIALECTS["zendesk"]
    faults: deque[Fault] = field(default_factory=deque)
    tickets: dict[str, int] = field(default_factory=dict)
    """Number by key."""
    opened: list[str] = field(default_factory=list)
    """The keys of the tickets that were opened. A vendor that knows our key opens none twice."""
    closed: set[str] = field(default_factory=set)
    hidden: int = 0
    """For how many more searches a ticket is not found."""
    tokens: int = 0

    def what(self, got: Got) -> str:
        path = unquote(got.path)
        for name, one in (("make", self.dialect.makes), ("find", self.dialect.finds)):
            if one is not None and got.method == one[0] and re.match(one[1], path):
                exact = name == "make" and not one[1].endswith(("/", "?"))
                if not exact or re.fullmatch(one[1], path):
                    return name
        return "token" if path == TOKEN else "other"

    def key(self, got: Got) -> str:
        found = KEY.search(unquote(got.path)) or KEY.search(got.raw.decode())
        return found[0] if found else ""

    def take(self, got: Got) -> int:
        """Do what a request asks for, and return the number of its ticket."""
        key = self.key(got)
        body = json.loads(got.raw) if got.raw else None
        if self.what(got) == "make" and (self.dialect.finds is not None or key not in self.tickets):
            self.opened.append(key)
            self.tickets[key] = 100 + len(self.opened)
        if self.dialect.closes(unquote(got.path), body):
            self.closed.add(key)
        return self.tickets.get(key, 0)

    async def respond(self, got: Got, writer: asyncio.StreamWriter) -> None:
        what = self.what(got)
        if what == "make" and self.faults:
            await self.faults.popleft()(self, got, writer)
            return
        answer: Any = {}
        if what == "token":
            self.tokens += 1
            answer = {"access_token": f"token-{self.tokens}-of-the-vendor", "token_type": "Bearer", "expires_in": 3600}
        elif what == "find":
            tag, number = self._found(got)
            answer = self.dialect.found(number, tag)
        else:
            number = self.take(got)
            answer = self.dialect.made(number) if what == "make" else {}
        await receiver.status(200, body=json.dumps(answer).encode())(got, writer)

    def _found(self, got: Got) -> tuple[str, int | None]:
        if self.hidden:
            self.hidden -= 1
            return "", None
        key = self.key(got) or (self.opened[-1] if self.opened else "")
        tag = key[:32] if self.dialect is DIALECTS["freshdesk"] else key
        return tag, self.tickets.get(key)

    def answer_of(self, got: Got) -> Answer:
        return self.answers.get(got.path, self.respond)
