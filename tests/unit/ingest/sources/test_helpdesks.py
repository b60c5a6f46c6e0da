"""What customers write to a help desk is heard, what colleagues answer in public is the brand's, and notes stay private."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest

from ingest.sources.base import Heard, Refused
from ingest.sources.hooks.called import CalledSource
from ingest.sources.webhooks.own_shape import check
from services.base.errors import ConfigError
from services.config.connectors.helpdesks import ChatwootSection, ZendeskSection
from tests.unit.ingest.sources.calls import NOW, UNIX, called, connector, hexed

SECRET = "signing-secret"
TICKET = {
    "id": "5158",
    "subject": "Stranded",
    "description": "You left us in Oslo.",
    "requester_id": "55",
    "submitter_id": "55",
    "created_at": "2026-05-01T11:58:00Z",
    "is_public": True,
}


def zendesk(**options: Any) -> CalledSource:
    section = ZendeskSection(kind="zendesk", name="desk", url="https://acme.zendesk.com", **options)
    return connector("ingest.sources.helpdesks.zendesk", section, "zendesk", {"signing_secret": SECRET}, ("support",))


def told(type_: str, event: Any = None, ticket: Any = None, subject: str = "zen:ticket:5158") -> Any:
    return {
        "type": f"zen:event-type:{type_}",
        "subject": subject,
        "time": "2026-05-01T11:59:00.254571515Z",
        "account_id": 1,
        "detail": TICKET if ticket is None else ticket,
        "event": event or {},
    }


def signed(body: bytes, at: str = "2026-05-01T11:59:30Z") -> dict[str, str]:
    digest = hmac.new(SECRET.encode(), at.encode() + body, hashlib.sha256).digest()
    return {
        "X-Zendesk-Webhook-Signature": base64.b64encode(digest).decode(),
        "X-Zendesk-Webhook-Signature-Timestamp": at,
    }


def heard(type_: str, event: Any = None, ticket: Any = None, **more: Any) -> Heard:
    body = json.dumps(told(type_, event, ticket, **more)).encode()
    found = called(zendesk(), body, signed(body)).heard
    check(found.items)
    return found


def comment(public: bool = True, staff: bool = False, body: str = "Still waiting!", id_: str = "77") -> Any:
    return {"comment": {"id": id_, "body": body, "is_public": public, "author": {"id": "55", "is_staff": staff}}}


def test_a_ticket_is_a_post_about_the_brand_with_a_link_to_the_desk() -> None:
    (item,) = heard("ticket.created").items
    assert item == {
        "network": "zendesk",
        "kind": "original",
        "post_id": "ticket-5158",
        "author": {"id": "55"},
        "text": "You left us in Oslo.",
        "permalink": "https://acme.zendesk.com/agent/tickets/5158",
        "platform_at": "2026-05-01T11:58:00+00:00",
        "brands": ["acme"],
    }


def test_a_customers_comment_is_a_reply_and_a_colleagues_is_the_brands_answer() -> None:
    (customer,) = heard("ticket.comment_added", comment()).items
    assert (customer["kind"], customer["root_id"], customer["reply_to"]) == ("reply", "ticket-5158", "support")
    assert customer["author"] == {"id": "55"}
    (colleague,) = heard("ticket.comment_added", comment(staff=True)).items
    assert (colleague["author"]["handle"], "reply_to" in colleague) == ("support", False)


def test_a_ticket_that_a_colleague_opened_is_the_brands_own_word() -> None:
    (item,) = heard("ticket.created", ticket=TICKET | {"submitter_id": "9"}).items
    assert item["author"] == {"id": "9", "handle": "support"}


def test_notes_between_colleagues_and_words_that_were_told_already_are_not_stored() -> None:
    assert not heard("ticket.comment_added", comment(public=False)).items
    assert not heard("ticket.created", ticket=TICKET | {"is_public": False}).items
    for words in (str(TICKET["description"]), f"{TICKET['description']}\n"):
        assert not heard("ticket.comment_added", comment(body=words)).items


@pytest.mark.parametrize(
    ("actor", "handle"), [("end_user", None), ("agent", "support"), ("system", "nobody"), ("trigger", "nobody")]
)
def test_messages_of_people_are_heard_and_those_of_machines_are_not(actor: str, handle: str | None) -> None:
    event = {"actor": {"id": "55", "type": actor}, "conversation_id": "c", "message": {"id": "8", "body": "Hello?"}}
    items = heard("messaging_ticket.message_added", event, {"id": "5158"}).items
    assert [item["author"].get("handle") for item in items] == ([] if handle == "nobody" else [handle])


def test_what_is_deleted_redacted_or_made_private_is_taken_back() -> None:
    for type_ in ("ticket.soft_deleted", "ticket.permanently_deleted"):
        (gone,) = heard(type_).items
        assert (gone["kind"], gone["post_id"]) == ("deletion", "ticket-5158")
    (redacted,) = heard("ticket.comment_redacted", {"comment": {"id": "77"}}).items
    assert (redacted["kind"], redacted["post_id"], redacted["root_id"]) == ("deletion", "comment-77", "ticket-5158")
    (private,) = heard("ticket.comment_made_private", {"comment": {"id": "77"}}).items
    assert (private["kind"], private["visible"]) == ("visibility", False)


def test_a_customer_who_is_deleted_at_the_desk_is_forgotten_here() -> None:
    (author,) = heard("user.deleted", subject="zen:user:55", ticket={"id": "55"}).authors
    assert (author["network"], author["author_id"], author["state"]) == ("zendesk", "55", "erased")


def test_other_events_of_the_desk_are_left_out() -> None:
    for type_ in ("ticket.status_changed", "article.published", "organization.created"):
        assert not heard(type_, {"current": "open", "previous": "new"}).items


def test_a_ticket_that_firebreak_opened_itself_feeds_no_incident() -> None:
    for mark in ({"external_id": "firebreak-abc"}, {"tags": ["vip", "firebreak"]}):
        assert not heard("ticket.created", ticket=TICKET | mark).items
        assert not heard("ticket.comment_added", comment(), TICKET | mark).items
    assert heard("ticket.created", ticket=TICKET | {"external_id": "crm-1", "tags": ["vip"]}).items
    assert not chat(conversation={**MESSAGE["conversation"], "custom_attributes": {"firebreak_key": "firebreak-abc"}})
    assert chat(conversation={**MESSAGE["conversation"], "custom_attributes": {"plan": "gold"}})


def test_a_call_that_was_signed_long_ago_is_refused() -> None:
    body = json.dumps(told("ticket.created")).encode()
    for headers in (signed(body, "2026-05-01T11:50:00Z"), signed(b"another" + body), {}):
        with pytest.raises(Refused):
            called(zendesk(), body, headers)


def test_without_an_account_for_its_colleagues_a_desk_is_not_built() -> None:
    section = ZendeskSection(kind="zendesk", name="desk")
    for handles in ((), ("one", "two")):
        with pytest.raises(ConfigError, match="the account under which colleagues answer"):
            connector("ingest.sources.helpdesks.zendesk", section, "zendesk", {"signing_secret": SECRET}, handles)
    named = ZendeskSection(kind="zendesk", name="desk", account="@two")
    assert connector("ingest.sources.helpdesks.zendesk", named, "zendesk", {"signing_secret": SECRET}, ("one", "two"))


MESSAGE: dict[str, Any] = {
    "event": "message_created",
    "id": 900,
    "content": "My bag is gone.",
    "message_type": "incoming",
    "private": False,
    "created_at": "2026-05-01T11:59:01.120Z",
    "sender": {"id": 55, "name": "Jane"},
    "conversation": {"id": 12, "created_at": UNIX - 60, "unread_count": 1},
    "account": {"id": 3, "name": "Acme"},
}


def chatwoot(secrets: dict[str, str] | None = None) -> CalledSource:
    section = ChatwootSection(kind="chatwoot", name="chat", url="https://chat.acme.example/")
    secrets = secrets or {"signing_secret": SECRET}
    return connector("ingest.sources.helpdesks.chatwoot", section, "chatwoot", secrets, ("support",))


def chat(**changes: Any) -> list[Any]:
    body = json.dumps({**MESSAGE, **changes}).encode()
    headers = {
        "X-Chatwoot-Timestamp": str(UNIX),
        "X-Chatwoot-Signature": f"sha256={hexed(SECRET, f'{UNIX}.'.encode() + body)}",
    }
    items = list(called(chatwoot(), body, headers).heard.items)
    check(items)
    return items


def test_the_message_that_opens_a_conversation_is_its_post() -> None:
    (item,) = chat()
    assert (item["kind"], item["post_id"], item["text"]) == ("original", "conversation-3-12", "My bag is gone.")
    assert item["permalink"] == "https://chat.acme.example/app/accounts/3/conversations/12"
    assert (item["author"], item["brands"]) == ({"id": "55"}, ["acme"])


@pytest.mark.parametrize(
    "changes",
    [
        {"created_at": "2026-05-01T12:00:01Z"},
        {"conversation": {"id": 12, "created_at": UNIX - 60, "unread_count": 2}},
        {"conversation": {"id": 12}},
    ],
)
def test_in_doubt_a_message_is_a_reply_so_that_none_is_lost(changes: dict[str, Any]) -> None:
    (item,) = chat(**changes)
    assert (item["kind"], item["post_id"], item["root_id"]) == ("reply", "message-900", "conversation-3-12")
    assert item["reply_to"] == "support"


def test_an_answer_in_a_conversation_is_the_brands_and_a_machines_is_not() -> None:
    for kind in ("outgoing", 1):
        (item,) = chat(message_type=kind, sender={"id": 4, "type": "user"})
        assert (item["kind"], item["author"]) == ("reply", {"id": "4", "handle": "support"})
    assert not chat(message_type="outgoing", sender={"id": 4, "type": "agent_bot"})
    assert not chat(message_type="activity")
    assert not chat(message_type="template")


def test_private_notes_and_events_without_words_are_not_stored() -> None:
    assert not chat(private=True)
    assert not chat(event="conversation_status_changed")
    assert not chat(event="message_updated")


def test_a_deleted_message_is_taken_back_under_both_ids_that_it_may_have() -> None:
    deleted = {
        "event": "message_updated",
        "content": "This message was deleted",
        "content_attributes": {"deleted": True},
    }
    assert [(item["kind"], item["post_id"]) for item in chat(**deleted)] == [
        ("deletion", "message-900"),
        ("deletion", "conversation-3-12"),
    ]
    (late,) = chat(**deleted, created_at="2026-05-01T12:00:01Z")
    assert late["post_id"] == "message-900"


def test_an_older_chatwoot_that_does_not_sign_shows_its_secret() -> None:
    source = chatwoot({"token": "in-the-address"})
    assert called(source, MESSAGE, query={"token": "in-the-address"}).heard.items
    assert called(source, MESSAGE, {"Authorization": "Bearer in-the-address"}).heard.items
    for query in ({"token": "guess"}, {}):
        with pytest.raises(Refused):
            called(source, MESSAGE, query=query)


def test_where_chatwoot_signs_the_address_alone_is_no_proof() -> None:
    source = chatwoot({"signing_secret": SECRET, "token": "in-the-address"})
    with pytest.raises(Refused):
        called(source, MESSAGE, query={"token": "in-the-address"})
    assert NOW.timestamp() == UNIX
