"""What of Bluesky is passed on, and as what; and where a server went on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ingest.sources.base import Cursor
from ingest.sources.bluesky.following import written_at
from ingest.sources.bluesky.hearing import Hearing, Overheard
from ingest.sources.bluesky.interest import Interest
from ingest.sources.bluesky.mapping import MOST_TEXT
from ingest.sources.bluesky.memory import HELD, StoryMemory
from ingest.sources.bluesky.resuming import Begun, Dialect, StreamPlace, Trail, judge, read_place, resume
from ingest.sources.bluesky.shapes import (
    LIKE,
    POST,
    REPOST,
    FrameKind,
    SkyFrame,
    microseconds,
    read_new_frame,
    read_old_frame,
)
from services.config.loading import parse

RECORDED = Path(__file__).parents[4] / "shared" / "data" / "payloads" / "bluesky_recorded"
NOW = datetime(2026, 11, 30, 0, 10, 23, tzinfo=UTC)
MIA, BOB, EVE, OWN = (f"did:plc:{name:a<24}" for name in ("mia", "bob", "eve", "acme"))
KEY = "3n3igyb4jv22k"
ROOT = f"at://{MIA}/{POST}/{KEY}"
BRANDS = parse(
    "brands: [{id: acme, name: Acme Air, hashtags: [acmefail], "
    "accounts: [{network: bluesky, handle: acmeair.com, owner: care}]}]"
).brands


@pytest.fixture
def memory() -> StoryMemory:
    return StoryMemory(1000)


@pytest.fixture
def hearing(memory: StoryMemory) -> Hearing:
    interest = Interest("bluesky", BRANDS)
    interest.learn({"acmeair.com": OWN, "stranger.com": EVE})
    return Hearing("bluesky", interest, memory, lambda *_: None)


def commit(
    did: str, key: str, record: Any, collection: str = POST, operation: str = "create", at: datetime = NOW
) -> SkyFrame:
    raw = msgspec.Raw(json.dumps(record).encode()) if record is not None else msgspec.Raw()
    return SkyFrame(FrameKind.COMMIT, did, 1, at, operation, collection, key, raw)


def account(did: str, status: str) -> SkyFrame:
    return SkyFrame(FrameKind.ACCOUNT, did, 1, NOW, active=not status, what=status)


def post(text: str = "Acme Air lost my bag", **more: Any) -> SkyFrame:
    return commit(MIA, KEY, {"text": text, "createdAt": "2026-11-30T00:10:22Z", "langs": ["en"], **more})


def reply(did: str = BOB, key: str = "3n3igyb5fa22k", to: str = ROOT, root: str = ROOT) -> SkyFrame:
    return commit(did, key, {"text": "Same here", "reply": {"root": {"uri": root}, "parent": {"uri": to}}})


def take(hearing: Hearing, *frames: SkyFrame) -> Overheard:
    return hearing.take(frames, NOW)


def test_a_post_that_names_a_brand_is_passed_on_whole(hearing: Hearing) -> None:
    assert take(hearing, post()).items == [
        {
            "network": "bluesky",
            "post_id": ROOT,
            "platform_at": NOW.isoformat(),
            "author": {"id": MIA},
            "text": "Acme Air lost my bag",
            "permalink": f"https://bsky.app/profile/{MIA}/post/{KEY}",
            "created_at": "2026-11-30T00:10:22Z",
            "language": "en",
            "kind": "original",
        }
    ]


@pytest.mark.parametrize(
    ("record", "declared"),
    [
        ({"text": "look", "tags": ["acmefail"]}, True),
        ({"text": "@you", "facets": [{"features": [{"did": OWN}]}]}, True),
        ({"text": "here", "facets": [{"features": [{"uri": "https://www.acmeair.com/sorry"}]}]}, True),
        ({"text": "here", "facets": [{"features": [{"uri": f"https://bsky.app/profile/{OWN}"}]}]}, True),
        (
            {"text": "", "embed": {"external": {"title": "Smoke on Acme Air flight", "uri": "https://news.test/1"}}},
            True,
        ),
        ({"text": "", "embed": {"images": [{"alt": "The Acme Air desk, closed"}]}}, True),
        ({"text": "so?", "embed": {"record": {"uri": f"at://{OWN}/{POST}/{KEY}"}}}, True),
        ({"text": "so?", "embed": {"record": {"record": {"uri": f"at://{OWN}/{POST}/{KEY}"}}, "media": {}}}, True),
        ({"text": "no", "facets": [{"features": [{"did": BOB}, {"uri": "https://[bad"}]}]}, False),
        ({"text": "acmeairline is another"}, False),
    ],
)
def test_what_shows_a_brand_beside_the_text_is_declared(
    hearing: Hearing, record: dict[str, Any], declared: bool
) -> None:
    items = take(hearing, commit(MIA, KEY, record)).items
    assert [item["brands"] for item in items] == ([["acme"]] if declared else [])


def test_an_answer_to_the_brand_says_whom_it_answers(hearing: Hearing) -> None:
    own = f"at://{OWN}/{POST}/{KEY}"
    (item,) = take(hearing, reply(to=own, root=own)).items
    assert (item["kind"], item["reply_to"], item["parent_id"]) == ("reply", "acmeair.com", own)


def test_an_engagement_may_come_before_its_post(hearing: Hearing) -> None:
    quote = commit(EVE, "3n3igyb6v3c2k", {"text": "Unbelievable", "embed": {"record": {"uri": ROOT}}})
    repost = commit(BOB, "3n3igybbru22k", {"subject": {"uri": ROOT}}, REPOST)
    nested = reply(EVE, "3n3igyb65nc2k", f"at://{BOB}/{POST}/3n3igyb5fa22k")
    assert take(hearing, nested, reply(), quote, repost).items == []
    found = take(hearing, post()).items
    assert [item["kind"] for item in found[:1]] == ["original"]
    assert {(item["kind"], item["post_id"].rpartition("/")[2]) for item in found[1:]} == {
        ("reply", "3n3igyb5fa22k"),
        ("reply", "3n3igyb65nc2k"),
        ("quote", "3n3igyb6v3c2k"),
        ("repost", "3n3igybbru22k"),
    }


def test_a_reply_that_was_deleted_before_its_post_came_is_deleted(hearing: Hearing) -> None:
    gone = commit(BOB, "3n3igyb5fa22k", None, operation="delete")
    kinds = [item["kind"] for item in take(hearing, reply(), gone, post()).items]
    assert kinds == ["original", "reply", "deletion"]


def test_what_waits_too_long_is_let_go(hearing: Hearing) -> None:
    later = reply(EVE, "3n3igyb65nc2k", f"at://{EVE}/{POST}/{KEY}", f"at://{EVE}/{POST}/{KEY}")
    take(hearing, reply(), later._replace(at=NOW + HELD + timedelta(seconds=1)))
    assert [item["kind"] for item in take(hearing, post()).items] == ["original"]


def test_strangers_are_left_out(hearing: Hearing) -> None:
    frames = [
        commit(MIA, KEY, {"text": "good morning"}),
        commit(BOB, KEY, None, operation="delete"),
        commit(BOB, KEY, {"subject": {"uri": f"at://{EVE}/{POST}/{KEY}"}}, REPOST),
        commit(BOB, KEY, {"subject": {"uri": f"at://{EVE}/{POST}/{KEY}"}}, LIKE),
        account(BOB, "deleted"),
        account(EVE, ""),
    ]
    heard = take(hearing, *frames)
    assert (heard.items, heard.authors) == ([], [])


def test_an_edit_a_deletion_and_likes_of_what_was_passed_on(hearing: Hearing) -> None:
    take(hearing, post())
    heard = take(hearing, commit(MIA, KEY, {"text": "They called me"}, operation="update"))
    assert [(i["kind"], i["text"], i["edited_at"]) for i in heard.items] == [
        ("edit", "They called me", NOW.isoformat())
    ]
    likes = [commit(did, KEY, {"subject": {"uri": ROOT}}, LIKE) for did in (BOB, EVE)]
    (counters,) = take(hearing, *likes).items
    assert (counters["kind"], counters["counters"]) == ("counters", {"likes": 2})
    assert take(hearing, likes[0]).items == [], "the next total is told half a minute later"
    (gone,) = take(hearing, commit(MIA, KEY, None, operation="delete")).items
    assert (gone["kind"], gone["post_id"]) == ("deletion", ROOT)


@pytest.mark.parametrize("status", ["takendown", "suspended", "deleted", "deactivated", "something new"])
def test_an_author_that_is_gone_is_erased_and_reinstated(hearing: Hearing, memory: StoryMemory, status: str) -> None:
    take(hearing, post())
    assert [a["state"] for a in take(hearing, account(MIA, status)).authors] == ["erased"]
    assert list(memory.gone) == [MIA]
    assert [a["state"] for a in take(hearing, account(MIA, "")).authors] == ["reinstated"]
    assert take(hearing, account(MIA, "")).authors == []


@pytest.mark.parametrize("status", ["throttled", "desynchronized"])
def test_trouble_of_servers_erases_nobody(hearing: Hearing, status: str) -> None:
    take(hearing, post())
    assert take(hearing, account(MIA, status)).authors == []


@pytest.mark.parametrize(
    ("odd", "kept"),
    [
        ({"createdAt": "2099-01-01T00:00:00.000Z"}, {"created_at": "2099-01-01T00:00:00.000Z"}),
        ({"createdAt": 7, "langs": "en", "facets": {}, "tags": [1], "embed": "x"}, {"created_at": None}),
        ({"reply": {"root": None}}, {"kind": "original"}),
        ({"reply": {"root": {"uri": ROOT}, "parent": {"uri": ROOT}}}, {"kind": "original"}),
        ({"embed": {"record": {"uri": "at://did:plc:x/app.bsky.graph.list/1"}}}, {"kind": "original"}),
        ({"embed": {"record": {"uri": ROOT}}}, {"kind": "original"}),
        ({"langs": []}, {"language": None}),
        ({"text": "Acme Air " + "x" * 100_000}, {"text": ("Acme Air " + "x" * 100_000)[:MOST_TEXT]}),
    ],
)
def test_an_odd_record_loses_what_is_odd_and_nothing_else(
    hearing: Hearing, odd: dict[str, Any], kept: dict[str, Any]
) -> None:
    (item,) = take(hearing, post(**odd)).items
    assert {name: item.get(name) for name in kept} == kept


@pytest.mark.parametrize("record", ["text", 7, [], None, {"text": None}, {"text": {"a": 1}}, {}])
def test_a_record_without_words_is_nothing_that_names_a_brand(hearing: Hearing, record: Any) -> None:
    assert take(hearing, commit(MIA, KEY, record)).items == []


def test_a_time_ahead_of_our_clock_is_not_vouched_for(hearing: Hearing) -> None:
    (item,) = take(hearing, post()._replace(at=NOW + timedelta(hours=3))).items
    assert item["platform_at"] == NOW.isoformat()


def test_memory_is_bounded(memory: StoryMemory) -> None:
    for n in range(3000):
        memory.remember(f"at://{n}", f"did:{n}", f"at://{n}", born=True)
    assert len(memory) == 1000
    assert memory.get("at://0") is None
    assert not memory.knows("did:0")


def test_the_key_of_a_post_tells_when_it_was_made() -> None:
    made = written_at(ROOT)
    assert made is not None
    assert abs(made - NOW) < timedelta(seconds=1)
    assert written_at(f"at://{MIA}/{POST}/self") is None


def recorded(name: str) -> Iterator[bytes]:
    if not RECORDED.is_dir():
        pytest.skip("the recorded frames are not here")
    yield from (RECORDED / name).read_bytes().splitlines()


def test_both_versions_of_a_recording_tell_the_same() -> None:
    old = [read_old_frame(line) for line in recorded("jetstream-v1.jsonl")]
    new = [read_new_frame(line) for line in recorded("jetstream-v2.jsonl")]
    assert None not in old
    assert None not in new
    told = [sorted((f.kind, f.did, f.operation, f.key, f.active, f.what) for f in one if f) for one in (old, new)]
    assert told[0] == told[1]


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_recorded_story_is_heard(hearing: Hearing, version: str) -> None:
    read = read_old_frame if version == "v1" else read_new_frame
    frames = [frame for line in recorded(f"jetstream-{version}.jsonl") if (frame := read(line))]
    heard = take(hearing, *(frame._replace(record=_named(frame)) for frame in frames))
    kinds = sorted(item["kind"] for item in heard.items)
    assert kinds == ["counters", "deletion", "original", "quote", "reply", "reply", "repost"]
    states = [one["state"] for one in heard.authors]
    assert states == ["erased", "reinstated", "erased", "reinstated", "erased"]


def _named(frame: SkyFrame) -> msgspec.Raw:
    """The recording names another handle than this brand's."""
    return msgspec.Raw(bytes(frame.record).replace(b"@acmeair", b"Acme Air"))


def cursor(origin: str = "here", sequence: int = 40, at: datetime = NOW) -> Cursor:
    return Cursor(origin, msgspec.json.encode(StreamPlace(sequence, microseconds(at))).decode(), at)


def frame(sequence: int, at: datetime) -> SkyFrame:
    return SkyFrame(FrameKind.COMMIT, MIA, sequence, at)


def test_a_sequence_is_asked_of_its_own_server_only() -> None:
    minute = timedelta(minutes=1)
    assert resume(cursor(), "here", Dialect.NEW, minute).value == 40
    assert resume(cursor(), "there", Dialect.NEW, minute).value == microseconds(NOW - minute)
    assert resume(cursor(), "here", Dialect.NEW, minute, by_time=True).value == microseconds(NOW - minute)
    assert resume(None, "here", Dialect.NEW, minute).value is None
    assert (resume(cursor(sequence=0), "here", Dialect.NEW, minute).value or 0) > 10**15
    assert (resume(cursor(), "here", Dialect.OLD, minute).value or 0) > 10**15


@pytest.mark.parametrize(
    ("first", "begun"),
    [
        (frame(40, NOW), Begun.IN_PLACE),
        (frame(41, NOW + timedelta(seconds=5)), Begun.IN_PLACE),
        (frame(12, NOW + timedelta(hours=1)), Begun.RENUMBERED),
        (frame(40, NOW + timedelta(hours=1)), Begun.RENUMBERED),
        (frame(90, NOW - timedelta(hours=1)), Begun.RENUMBERED),
    ],
)
def test_a_sequence_that_means_something_else_is_noticed(first: SkyFrame, begun: Begun) -> None:
    assert judge(resume(cursor(), "here", Dialect.NEW, timedelta(minutes=1)), first) is begun


def test_a_server_that_begins_after_what_was_heard_last_has_forgotten_the_rest() -> None:
    asked = resume(cursor(), "here", Dialect.OLD, timedelta(minutes=1))
    assert judge(asked, frame(0, NOW)) is Begun.IN_PLACE
    assert judge(asked, frame(0, NOW + timedelta(microseconds=1))) is Begun.LATER


def test_the_cursor_stays_behind_by_as_long_as_engagements_wait() -> None:
    trail = Trail()
    assert trail.cursor("here", ()) is None
    for n in range(100):
        trail.passed(frame(n, NOW + timedelta(seconds=n)))
    moved = trail.cursor("here", (MIA,))
    assert moved is not None
    assert moved.at == NOW + timedelta(seconds=99)
    place = read_place(moved)
    assert moved.at - place.at == HELD
    assert (place.sequence, place.gone) == (89, (MIA,))
    assert read_place(Cursor("here", "nonsense", NOW)).at == NOW - HELD
