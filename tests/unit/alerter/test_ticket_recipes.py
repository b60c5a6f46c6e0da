"""The shipped recipes against what the vendors describe: the fields of requests, the words that they may have, the limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from alerter.notify.formats import native
from alerter.notify.formats.notice import notice_of
from alerter.notify.tickets import templates, words
from alerter.notify.tickets.recipe import Recipe, shipped, shipped_names
from services.contracts.incident import Change
from tests.integration.alerter.vendor import DIALECTS
from tests.unit.alerter import make

FIELDS: Mapping[str, set[str]] = {
    "zendesk": {
        *("ticket.external_id", "ticket.subject", "ticket.comment.body", "ticket.comment.public", "ticket.type"),
        *("ticket.priority", "ticket.group_id", "ticket.tags", "ticket.status", "ticket.assignee_id"),
    },
    "freshdesk": {
        *("subject", "description", "email", "priority", "status", "source", "group_id", "tags", "body", "private"),
    },
    "servicenow": {
        *("correlation_id", "correlation_display", "short_description", "description", "impact", "urgency", "state"),
        *("assignment_group", "caller_id", "work_notes", "close_code", "close_notes"),
    },
    "jira-service-management": {
        *("fields.project.key", "fields.issuetype.name", "fields.summary", "fields.labels"),
        *(f"fields.description.{name}" for name in ("type", "version", "content.type", "content.content.type")),
        *(f"body.{name}" for name in ("type", "version", "content.type", "content.content.type")),
        *("fields.description.content.content.text", "body.content.content.text", "transition.id"),
    },
    "salesforce-case": {"Subject", "Description", "Priority", "Origin", "OwnerId", "Status"},
    "genesys-open-messaging": {
        *(
            "channel.messageId",
            "channel.from.id",
            "channel.from.idType",
            "channel.from.nickname",
            "channel.time",
            "text",
        ),
    },
    "opsgenie": {
        *("message", "alias", "description", "responders", "tags", "entity", "priority", "user", "note", "source"),
        *("details.incident", "details.rule", "details.link"),
    },
    "grafana-irm": {"alert_uid", "title", "state", "message", "link_to_upstream_details", "image_url"},
    "goalert": {"summary", "details", "action", "dedup"},
    "chatwoot": {
        *("source_id", "inbox_id", "contact_id", "status", "custom_attributes.firebreak_key", "message.content"),
        *("content", "message_type", "private"),
    },
}
"""Names of fields that each vendor describes for the requests that the recipe makes."""
WORDS: Mapping[tuple[str, str], set[Any]] = {
    ("zendesk", "ticket.priority"): {"urgent", "high", "normal", "low"},
    ("zendesk", "ticket.status"): {"new", "open", "pending", "hold", "solved", "closed"},
    ("zendesk", "ticket.type"): {"problem", "incident", "question", "task"},
    ("freshdesk", "priority"): {1, 2, 3, 4},
    ("freshdesk", "status"): {2, 3, 4, 5},
    ("freshdesk", "source"): {1, 2, 3, 7, 9, 10},
    ("servicenow", "impact"): {"1", "2", "3"},
    ("servicenow", "urgency"): {"1", "2", "3"},
    ("opsgenie", "priority"): {"P1", "P2", "P3", "P4", "P5"},
    ("chatwoot", "status"): {"open", "resolved", "pending", "snoozed"},
    ("chatwoot", "message_type"): {"outgoing", "incoming"},
    ("goalert", "action"): {"close"},
    ("grafana-irm", "state"): {"alerting", "ok"},
}
LIMITS: Mapping[tuple[str, str], int] = {
    ("freshdesk", "tags"): 32,
    ("freshdesk", "subject"): 255,
    ("servicenow", "short_description"): 160,
    ("servicenow", "correlation_id"): 100,
    ("jira-service-management", "fields.summary"): 255,
    ("jira-service-management", "fields.labels"): 255,
    ("salesforce-case", "Subject"): 255,
    ("opsgenie", "message"): 130,
    ("opsgenie", "alias"): 512,
    ("opsgenie", "description"): 15_000,
    ("goalert", "summary"): 1024,
    ("goalert", "details"): 6144,
}


def values(recipe: Recipe, name: str, severity: int) -> dict[str, Any]:
    body = native.render_test("crm", make.NOW)
    notice = notice_of(body)
    assert notice is not None
    filled = recipe.filled_in(dict(DIALECTS[name].values))
    found = words.values(notice, body, "f" * 32, "msg_" + "0" * 32, filled, {"ticket_id": "1", "issue_key": "A-1"})
    return found | {"severity": severity, "title": "t\n" * 2000, "status": Change.RESOLVED.value}


def flat(body: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(body, dict):
        for key, inner in body.items():
            yield from flat(inner, f"{at}.{key}" if at else str(key))
    elif isinstance(body, list):
        for inner in body:
            yield from flat(inner, at)
    else:
        yield at, body


@pytest.mark.parametrize("severity", [1, 2, 3, 4])
@pytest.mark.parametrize("name", shipped_names())
def test_a_recipe_sends_what_its_vendor_describes(name: str, severity: int) -> None:
    recipe = shipped(name)
    known = values(recipe, name, severity)
    for which, request in recipe.requests():
        for at, value in flat(templates.filled(request.body, known) if request.body is not None else {}):
            assert at in FIELDS[name], f"{which}: {at}"
            assert value in WORDS.get((name, at), {value}), f"{which}: {at}"
            assert len(str(value)) <= LIMITS.get((name, at), 64_000), f"{which}: {at}"


@pytest.mark.parametrize("name", shipped_names())
def test_every_comment_of_a_recipe_begins_with_our_mark_where_comments_come_back(name: str) -> None:
    recipe = shipped(name)
    hears = recipe.inbound is not None and any(one.deed == "note" for one in recipe.inbound.reactions)
    known = values(recipe, name, 2) | {"comment": "[Firebreak x] c"}
    for which, request in recipe.requests():
        for at, value in flat(templates.filled(request.body, known) if request.body is not None else {}):
            if hears and which != "create" and at.rpartition(".")[2] in ("body", "work_notes", "note", "content"):
                assert str(value).startswith("[Firebreak "), f"{which}: {at}"


@pytest.mark.parametrize("name", shipped_names())
def test_the_path_of_a_request_stays_below_the_url(name: str) -> None:
    recipe = shipped(name)
    known = values(recipe, name, 2)
    hostile = known | {"ticket": {"ticket_id": "../../x?y#z", "issue_key": "//evil"}}
    for _, request in recipe.requests():
        plain, odd = (templates.in_path(request.path, one) for one in (known, hostile))
        assert plain.count("/") == odd.count("/")
        assert plain.count("?") == odd.count("?") <= 1
        assert "#" not in odd
