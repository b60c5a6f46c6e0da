"""The connector against a server that pages, streams and fails as Mastodon does."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from ingest.sources.base import Away, Cursor, Refused, SourceContext
from ingest.sources.mastodon.memory import KnownStatus
from ingest.sources.mastodon.source import MastodonSource, build
from services.base.clock import ManualClock
from tests.contract.sources.mastodon import DOMAIN, TOKEN, MastodonNetwork
from tests.contract.sources.network import Fault
from tests.integration.ingest.heard import BEGIN, context, listening, until


@pytest.fixture
async def network() -> AsyncIterator[MastodonNetwork]:
    network = MastodonNetwork()
    await network.start(ManualClock(BEGIN))
    yield network
    await network.close()


@pytest.fixture
async def at(network: MastodonNetwork) -> AsyncIterator[SourceContext]:
    assert isinstance(network._clock, ManualClock)
    async with context(network.connector(), {"token": TOKEN}, network="mastodon", clock=network._clock) as made:
        yield made


def source(at: SourceContext) -> MastodonSource:
    return build(at)


@pytest.mark.parametrize("streams", ["websocket", "events", "none"])
async def test_what_is_said_is_heard_live_whatever_the_server_offers(
    network: MastodonNetwork, at: SourceContext, streams: str
) -> None:
    network.streams = streams
    network.add("Acme Air, long before")
    async with listening(source(at)) as ears:
        await until(lambda: ears.heard, at.clock)
        toot = network.add("Acme Air left us in Oslo")
        network.add("the weather is nice")
        await until(lambda: ears.items, at.clock)
        assert ears.ids == [f"original {network.uri(toot.id)}"]
        item = ears.items[0]
        assert item["author"]["id"] == f"{toot.name}@{DOMAIN}"
        assert item["author"]["followers"] == 42
        assert (item["text"], item["language"]) == ("<p>Acme Air left us in Oslo</p>", "en")
        assert "backfill" not in item
        if streams != "none":
            network.toots.pop(toot.id)
            network._send("delete", toot.id)
            await until(lambda: len(ears.items) > 1, at.clock)
            assert ears.ids[1:] == [f"deletion https://{DOMAIN}/users/{toot.name}/statuses/{toot.id}"]
        assert ears.trouble is None


async def test_what_was_said_while_we_were_away_is_read_page_by_page_and_nothing_is_skipped(
    network: MastodonNetwork, at: SourceContext
) -> None:
    async with listening(source(at)) as ears:
        await until(lambda: ears.cursor, at.clock)
        cursor = ears.cursor
    written = [network.uri(network.add(f"Acme Air, number {number}").id) for number in range(95)]
    at.clock.advance(3600)  # type: ignore[attr-defined]
    # Another process: nothing is known but the cursor.
    async with listening(source(at), cursor) as ears:
        await until(lambda: len(ears.items) >= 95, at.clock)
        assert [item["post_id"] for item in ears.items] == written
        assert all(item["backfill"] for item in ears.items)
        assert not ears.missed


async def test_a_batch_that_was_never_stored_is_heard_again_by_the_same_process(
    network: MastodonNetwork, at: SourceContext
) -> None:
    one = source(at)
    async with listening(one) as ears:
        await until(lambda: ears.cursor, at.clock)
        before = ears.cursor
        toot = network.add("Acme Air lost my bag")
        await until(lambda: ears.items, at.clock)
    async with listening(one, before) as ears:
        await until(lambda: ears.items, at.clock)
        assert ears.ids == [f"original {network.uri(toot.id)}"]
        after = ears.cursor
    async with listening(one, after) as ears:
        other = network.add("Acme Air again")
        await until(lambda: ears.items, at.clock)
        assert ears.ids == [f"original {network.uri(other.id)}"]


async def test_a_deletion_is_understood_after_a_restart(network: MastodonNetwork, at: SourceContext) -> None:
    async with listening(source(at)) as ears:
        await until(lambda: ears.cursor, at.clock)
        toot = network.add("Acme Air lost my bag")
        post = network.uri(toot.id)
        await until(lambda: ears.items, at.clock)
        cursor = ears.cursor
    async with listening(source(at), cursor) as ears:
        await until(lambda: network._queues and ears.heard, at.clock)
        network.toots.pop(toot.id)
        network._send("delete", toot.id)
        await until(lambda: ears.items, at.clock)
        assert ears.ids == [f"deletion {post}"]


async def test_an_edit_that_comes_before_the_creation_brings_the_new_text_once(
    network: MastodonNetwork, at: SourceContext
) -> None:
    async with listening(source(at)) as ears:
        await until(lambda: ears.heard, at.clock)
        network.live = False
        toot = network.add("Acme Air was late")
        network.live = True
        network.edit(toot, "Acme Air was late, and rude")
        toot.edited = None
        network._send("update", json.dumps({**network.shown(toot), "content": "Acme Air was late"}))
        last = network.add("Acme Air, the last")
        await until(lambda: network.uri(last.id) in {item["post_id"] for item in ears.items}, at.clock)
        assert [item["text"] for item in ears.items if item["post_id"] == network.uri(toot.id)] == [
            "<p>Acme Air was late, and rude</p>"
        ] * 2
        assert ears.ids[:2] == [f"original {network.uri(toot.id)}", f"edit {network.uri(toot.id)}"]


async def test_a_silent_stream_hides_no_mention_of_the_brand_s_account(
    network: MastodonNetwork, at: SourceContext
) -> None:
    async with listening(source(at)) as ears:
        await until(lambda: ears.heard, at.clock)
        await network.play(Fault.SILENCE)
        toot = network.add("@acmeair are you there?")
        await until(lambda: ears.items, at.clock, pace=10)
        assert ears.ids == [f"original {network.uri(toot.id)}"]
        assert ears.items[0]["brands"] == ["acme"]
        assert (await source(at).probe()).newest == toot.at


async def test_a_probe_finds_what_a_silent_stream_did_not_bring_also_within_one_second(
    network: MastodonNetwork, at: SourceContext
) -> None:
    one = source(at)
    async with listening(one) as ears:
        await until(lambda: ears.heard, at.clock)
        network.add("Acme Air is late")
        await until(lambda: ears.items)
        await network.play(Fault.SILENCE)
        network.add("Acme Air is later")
        assert (await one.probe()).newest is not None, "it may be on its way"
        at.clock.advance(15)  # type: ignore[attr-defined]
        with pytest.raises(Away, match="did not bring"):
            await one.probe()


async def test_a_reply_hangs_on_the_root_of_its_conversation_and_a_share_on_what_it_shares(
    network: MastodonNetwork, at: SourceContext
) -> None:
    root = network.add("a long story")
    middle = network.add("go on", parent=root.id)
    async with listening(source(at)) as ears:
        await until(lambda: ears.heard, at.clock)
        reply = network.add("that was Acme Air", parent=middle.id)
        await until(lambda: ears.items, at.clock)
        share = network.add("", shares=reply.id)
        quote = network.add("look at this", quotes=reply.id)
        await until(lambda: len(ears.items) >= 3, at.clock)
        said, shared, quoted = ears.items
        assert (said["kind"], said["parent_id"], said["root_id"]) == (
            "reply",
            network.uri(middle.id),
            network.uri(root.id),
        )
        assert (shared["kind"], shared["parent_id"]) == ("repost", network.uri(reply.id))
        assert shared["post_id"] == f"{network.uri(reply.id)}#shared-by-{share.name}@{DOMAIN}"
        assert (quoted["kind"], quoted["quote_of"]) == ("quote", {"post_id": network.uri(reply.id)})
        network.toots.pop(share.id)
        network._send("delete", share.id)
        await until(lambda: len(ears.items) >= 4, at.clock)
        assert (ears.items[3]["kind"], ears.items[3]["post_id"]) == ("deletion", shared["post_id"])
        assert quote.id in network.toots


async def test_another_server_goes_on_by_the_time_and_from_a_little_earlier(
    network: MastodonNetwork, at: SourceContext
) -> None:
    network.add("Acme Air, last week")
    at.clock.advance(7 * 86_400)  # type: ignore[attr-defined]
    missed = [network.uri(network.add(f"Acme Air, number {number}").id) for number in range(45)]
    cursor = Cursor("https://elsewhere.example", "no position of ours", at.clock.now())
    async with listening(source(at), cursor) as ears:
        await until(lambda: len(ears.items) >= 45, at.clock)
        assert [item["post_id"] for item in ears.items] == missed


@pytest.mark.parametrize(
    ("fault", "trouble"), [(Fault.REFUSAL, Refused), (Fault.STORM, Away), (Fault.CUT, Away), (Fault.AWAY, Away)]
)
async def test_trouble_is_said_and_what_was_meant_by_it(
    network: MastodonNetwork, at: SourceContext, fault: Fault, trouble: type[Exception]
) -> None:
    one = source(at)
    async with listening(one) as ears:
        await until(lambda: ears.heard and network._queues, at.clock)
        await network.play(fault)
        await until(lambda: ears.trouble, at.clock)
        cursor = ears.cursor
    async with listening(one, cursor) as ears:
        if fault is not Fault.CUT:
            await until(lambda: ears.trouble, at.clock)
            assert isinstance(ears.trouble, trouble)
            if isinstance(ears.trouble, Away) and fault is Fault.STORM:
                assert ears.trouble.retry_after_seconds == 120
            assert TOKEN not in str(ears.trouble)
    await network.mend()
    async with listening(one, cursor) as ears:
        toot = network.add("Acme Air is back")
        await until(lambda: ears.items, at.clock)
        assert ears.ids == [f"original {network.uri(toot.id)}"]


async def test_the_token_is_never_part_of_an_address(network: MastodonNetwork, at: SourceContext) -> None:
    async with listening(source(at)) as ears:
        await until(lambda: ears.heard, at.clock)
    assert network.server.requests
    assert not [request.url for request in network.server.requests if TOKEN in str(request.url)]


async def test_a_look_finds_what_was_said_to_a_post_what_became_of_it_and_that_it_is_gone(
    network: MastodonNetwork, at: SourceContext
) -> None:
    toot = network.add("Acme Air lost my bag")
    gone = network.uri(network.add("Acme Air, gone").id)
    reply = network.add("mine too", parent=toot.id)
    toot.likes = 300
    one = source(at)
    async with listening(one) as ears:
        await until(lambda: ears.heard, at.clock)
    one._memory.remember(gone.rsplit("/", 1)[-1], KnownStatus(gone, gone))
    network.toots.pop(gone.rsplit("/", 1)[-1])
    looked = await one.look([network.uri(toot.id), gone, "https://elsewhere.example/1"])
    kinds = {(item["kind"], item["post_id"]) for item in looked.items}
    assert ("counters", network.uri(toot.id)) in kinds
    assert ("deletion", gone) in kinds
    assert ("reply", network.uri(reply.id)) in kinds
    assert next(item for item in looked.items if item["kind"] == "counters")["counters"]["likes"] == 300
    assert looked.unanswered == ("https://elsewhere.example/1",)


async def test_an_answer_is_written_where_it_belongs(network: MastodonNetwork, at: SourceContext) -> None:
    toot = network.add("Acme Air lost my bag")
    answered = await source(at).answer("We are looking for it", network.uri(toot.id), "key-1")
    written = next(one for one in network.toots.values() if one.parent == toot.id)
    assert answered == network.uri(written.id)
    assert [request.headers.get("idempotency-key") for request in network.server.requests][-1] == "key-1"
