"""What statuses of servers with Mastodon's API become, odd ones too, and what the real ones that were recorded become."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.brands import BrandBook
from ingest.normalize import Normalizer
from ingest.schemas import PostIn
from ingest.sources.mastodon import memory as notes
from ingest.sources.mastodon.hearing import MastodonHearing
from ingest.sources.mastodon.mapping import Item, Relations, Server, deletion_item, handle_of, post_id, status_item
from ingest.sources.mastodon.memory import KnownStatus, Places, StatusMemory, is_later
from ingest.sources.mastodon.shapes import (
    MastodonAccount,
    MastodonNotification,
    MastodonStatus,
    Unreadable,
    decode,
    decode_each,
)
from services.config.model import Account, Brand

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
HERE = Server("mastodon", "https://planes.example", "planes.example")
ACME = Brand(
    id="acme", name="Acme Air", accounts=(Account(network="mastodon", handle="acmeair@planes.example", owner="care"),)
)
RECORDED = Path("/work/shared/data/payloads/mastodon")


def status(**more: Any) -> MastodonStatus:
    found = {
        "id": "113",
        "uri": "https://far.example/users/mia/statuses/7",
        "account": {"id": "5", "acct": "mia@far.example"},
        "created_at": "2026-05-01T11:59:00.000Z",
        "content": "<p>Acme Air left us</p>",
    }
    return decode(json.dumps({**found, **more}), MastodonStatus)


def item(**more: Any) -> Item:
    return status_item(HERE, status(**more), Relations(), NOW, asked=False)


def accepted(said: Item, now: datetime = NOW) -> None:
    """`POST /v1/posts` takes it."""
    Normalizer(BrandBook((ACME,)), {}, 40_000).normalize(PostIn.model_validate_json(json.dumps(said)), now)


def hearing(private: bool = False) -> MastodonHearing:
    async def above(_: str) -> list[MastodonStatus]:
        return []

    return MastodonHearing(HERE, BrandBook((ACME,)), StatusMemory(), above, own_brands=("acme",), private=private)


def test_the_same_status_heard_through_two_servers_is_one_post() -> None:
    here = item()
    there = status_item(
        Server("mastodon", "https://far.example", "far.example"),
        status(id="7", account={"id": "1", "acct": "mia"}),
        Relations(),
        NOW,
        asked=False,
    )
    assert here["post_id"] == there["post_id"]
    assert here["author"]["id"] == there["author"]["id"] == "mia@far.example"
    assert "platform_at" not in here, "what another server says of its time is a claim"
    assert there["platform_at"] == "2026-05-01T11:59:00+00:00"


@pytest.mark.parametrize(
    "odd",
    [
        {"id": 113, "account": {"id": 5, "acct": "mia"}},  # Pixelfed numbers
        {"content": None, "spoiler_text": "Acme Air"},
        {"account": {"id": "5", "acct": "x" * 500 + "@far.example", "followers_count": -1, "created_at": "never"}},
        {"uri": "https://far.example/" + "x" * 5000},
        {"uri": "tag:far.example,2026:objectId=7:objectType=Status"},  # old OStatus
        {"url": "javascript:alert(1)"},
        {"url": "https://a@b.example/1"},
        {"created_at": "0001-01-01T00:00:00Z"},
        {"created_at": "2999-01-01T00:00:00Z"},
        {"created_at": "2026-05-01T12:04:00Z", "account": {"id": "5", "acct": "mia"}},
        {"created_at": "2026-05-02T12:04:00Z", "account": {"id": "5", "acct": "mia"}},
        {"created_at": None, "language": ""},
        {"quote": {"state": "deleted", "quoted_status": None}},
        {"quote": {"state": "accepted", "quoted_status_id": "9"}},
        {"quote": {"state": "accepted"}, "in_reply_to_id": 9},
        {"quote": "odd"},
        {"in_reply_to_id": "9", "in_reply_to_account_id": "5", "mentions": [{"id": "5", "acct": "acmeair"}]},
        {"favourites_count": None, "reblogs_count": -3},
        {"content": "<p>" + "x" * 1_000_000},
        {"edited_at": "2026-05-01T11:59:30Z"},
        {"language": "zxx-very-long-tag-that-is-none-at-all"},
    ],
)
def test_an_odd_status_is_taken_all_the_same(odd: dict[str, Any]) -> None:
    said = item(**odd)
    if said.get("language") != "zxx-very-long-tag-that-is-none-at-all":
        accepted(said)
    assert said["kind"] in ("original", "reply")


def test_a_quote_names_what_it_quotes_in_the_ways_of_both_makes() -> None:
    quoted = {"id": "9", "uri": "https://far.example/9", "account": {"id": "1", "acct": "bob"}}
    for quote in ({"state": "accepted", "quoted_status": quoted}, quoted):
        said = item(quote=quote)
        assert (said["kind"], said["quote_of"]) == ("quote", {"post_id": "https://far.example/9"})
        accepted(said)
    assert item(quote={"state": "revoked", "quoted_status": quoted})["kind"] == "original"


def test_a_warning_is_part_of_the_text_and_is_no_markup() -> None:
    assert item(spoiler_text="<b> & flying")["text"] == "<p>&lt;b&gt; &amp; flying</p><p>Acme Air left us</p>"


@pytest.mark.parametrize(
    ("acct", "handle"),
    [("Mia", "mia@planes.example"), ("mia@Far.example", "mia@far.example"), ("@mia", "mia@planes.example")],
)
def test_a_handle_is_the_same_whichever_server_says_it(acct: str, handle: str) -> None:
    assert handle_of(MastodonAccount("1", acct), HERE) == handle


async def test_what_concerns_nobody_is_left_out_and_what_hangs_on_a_complaint_is_not() -> None:
    ears = hearing()
    assert await ears.status(status(content="nice weather"), NOW, asked=False) == []
    (said,) = await ears.status(status(), NOW, asked=False)
    (reply,) = await ears.status(
        status(id="114", uri="https://far.example/8", in_reply_to_id="113", content="so true"), NOW, asked=False
    )
    assert (reply["kind"], reply["parent_id"], reply["root_id"]) == ("reply", said["post_id"], said["post_id"])
    assert await ears.status(status(), NOW, asked=True) == [], "the same again adds nothing"


async def test_a_reply_whose_conversation_cannot_be_had_is_heard_all_the_same() -> None:
    (said,) = await hearing().status(status(in_reply_to_id="9"), NOW, asked=False)
    assert (said["kind"], said["parent_id"]) == ("reply", "https://planes.example/statuses/9")
    accepted(said)


async def test_the_deletion_of_the_unknown_is_nothing_and_what_is_created_after_it_is_nothing() -> None:
    ears = hearing()
    assert ears.deleted("113") == []
    assert await ears.status(status(), NOW, asked=False) == []
    other = status(id="114", uri="https://far.example/8")
    await ears.status(other, NOW, asked=False)
    assert ears.deleted("114") == [deletion_item(HERE, "https://far.example/8")]
    assert ears.deleted("114") == []


@pytest.mark.parametrize("visibility", ["private", "direct", "something new"])
async def test_what_is_not_public_is_not_heard_unless_it_is_said_to_us_and_asked_for(visibility: str) -> None:
    told = MastodonNotification("1", "mention", MastodonAccount("5", "mia"), status=status(visibility=visibility))
    assert await hearing().notification(told, NOW, asked=False) == []
    assert await hearing().status(status(visibility=visibility), NOW, asked=False) == []
    (said,) = await hearing(private=True).notification(told, NOW, asked=False)
    assert said["brands"] == ["acme"]
    assert await hearing(private=True).status(status(visibility=visibility), NOW, asked=False) == []


async def test_a_share_is_one_engagement_whether_the_stream_or_a_notification_tells_it() -> None:
    ears = hearing()
    shared = {"id": "113", "uri": "https://far.example/7", "account": {"id": "1", "acct": "a"}, "content": "Acme Air"}
    by = {"id": "5", "acct": "bob@far.example", "followers_count": 9}
    stream = status(id="200", uri="https://far.example/200/activity", account=by, reblog=shared, content="")
    said = await ears.status(stream, NOW, asked=False)
    told = decode(
        json.dumps(
            {"id": "3", "type": "reblog", "account": by, "created_at": "2026-05-01T11:59:00Z", "status": shared}
        ),
        MastodonNotification,
    )
    (again,) = await ears.notification(told, NOW, asked=False)
    assert [one["kind"] for one in said] == ["original", "repost"]
    assert again["post_id"] == said[1]["post_id"]
    assert again["author"]["followers"] == 9
    accepted(again)
    (counted,) = await ears.notification(
        MastodonNotification("4", "favourite", MastodonAccount("5", "mia"), status=status(favourites_count=30)),
        NOW,
        asked=False,
    )
    assert counted["counters"] == {"likes": 30}
    accepted(counted)


async def test_what_was_said_long_ago_and_asked_for_is_history() -> None:
    old = (NOW - timedelta(hours=2)).isoformat()
    (said,) = await hearing().status(status(created_at=old), NOW, asked=True)
    assert said["backfill"] is True
    (said,) = await hearing().status(status(created_at=old), NOW, asked=False)
    assert "backfill" not in said


def test_the_cursor_stays_within_its_bound_and_remembers_the_newest() -> None:
    memory = StatusMemory()
    for number in range(2_000):
        memory.remember(str(number), KnownStatus(f"https://far.example/users/{'x' * (number % 150)}/{number}", "root"))
    position = notes.written(Places({f"tag:{number}": "1" * 18 for number in range(30)}), memory)
    assert len(position) <= 8_000
    again, found = StatusMemory(), notes.read(position)
    again.restore(found.life, found.count, found.known)
    assert again.of("1999") is not None
    assert again.of("1") is None


@pytest.mark.parametrize("position", ["", "{}", "[]", "[1]", '[{"a":1}]', "\ud800"])
def test_a_position_that_is_none_of_ours_is_refused(position: str) -> None:
    with pytest.raises(ValueError, match=r"position|surrogates"):
        notes.read(position)


def test_ids_grow_on_every_make_of_server() -> None:
    assert is_later("113000000000000001", "99999999999999999")
    assert is_later("01M8MXXS0NJWYFNE702RSTMZA5", "01M8MXXRZTRWX55WKBPXKCTX08")  # GoToSocial
    assert is_later("AyIoHGjFsDBIb7rPCC", "AyIoHGjFsDBIb7rPBB")  # Pleroma
    places = Places({"public": "5"})
    places.advance("public", "4")
    assert places.newest == {"public": "5"}


def test_one_bad_status_costs_no_other() -> None:
    good = {"id": "1", "uri": "u", "account": {"id": "1", "acct": "a"}}
    found, bad = decode_each(json.dumps([good, {"id": "2"}, None, good]).encode(), MastodonStatus)
    assert (len(found), bad) == (2, 2)
    with pytest.raises(Unreadable):
        decode_each(b'{"error":"no"}', MastodonStatus)


@given(st.text(max_size=300))
def test_every_uri_is_the_name_of_a_post(uri: str) -> None:
    found = post_id(uri.encode("utf-8", "ignore").decode())
    assert 0 < len(found) <= 200
    assert found.isprintable()


@pytest.mark.skipif(not RECORDED.exists(), reason="the recordings are not here")
async def test_what_real_servers_said_is_understood() -> None:
    """A GoToSocial by WebSocket: a mention, its edit, a delete of what nobody announced. Timelines of Mastodon."""
    ears = hearing()
    kinds = []
    for line in (RECORDED / "gotosocial-stream.jsonl").read_text(encoding="utf-8").splitlines():
        frame = json.loads(line)["frame"]
        if frame["event"] == "delete":
            assert ears.deleted(frame["payload"]) == []
        elif frame["event"] == "notification":
            told = decode(frame["payload"], MastodonNotification)
            kinds += [one["kind"] for one in await ears.notification(told, NOW, asked=False)]
        else:
            shown = decode(frame["payload"], MastodonStatus)
            kinds += [one["kind"] for one in await ears.status(shown, NOW, asked=False, surely=True)]
    assert kinds == ["original", "edit"]
    statuses = [
        decode(line, MastodonStatus) for line in (RECORDED / "statuses.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    now = datetime(2027, 1, 1, tzinfo=UTC)
    for one in statuses:
        for said in await hearing().status(one, now, asked=True, surely=True):
            accepted(said, now)
    told_lines = (RECORDED / "notifications.jsonl").read_text(encoding="utf-8").splitlines()
    for line in told_lines:
        for said in await hearing().notification(decode(line, MastodonNotification), now, asked=True):
            accepted(said, now)
    assert len(statuses) > 50
