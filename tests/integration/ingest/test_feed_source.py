"""The connector against a site that answers, moves, ends and misbehaves as sites do, and against a hub that pushes."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest
from starlette.responses import Response

from ingest.sources.base import Away, Received, Refused, SourceContext
from ingest.sources.feeds import fetching
from ingest.sources.feeds.source import FeedSource, build
from services.base.clock import ManualClock
from tests.contract.sources.feed import FeedNetwork
from tests.contract.sources.network import Fault
from tests.integration.ingest.heard import BEGIN, Ears, context, listening, until


@pytest.fixture
async def site() -> AsyncIterator[FeedNetwork]:
    site = FeedNetwork()
    await site.start(ManualClock(BEGIN))
    yield site
    await site.close()


@pytest.fixture
async def at(site: FeedNetwork) -> AsyncIterator[SourceContext]:
    async with made(site) as found:
        yield found


def made(site: FeedNetwork, **more: object):  # type: ignore[no-untyped-def]
    assert isinstance(site._clock, ManualClock)
    secrets = {name.lower(): value for name, value in site.secrets.items()}
    return context({**site.connector(), **more}, secrets, network="news", clock=site._clock)


async def reads(ears: Ears, site: FeedNetwork, times: int = 1) -> None:
    """Wait until the feed was read so many times more."""
    before = len(site.asked)
    await until(lambda: len(site.asked) >= before + times or ears.trouble, site._clock, pace=10)


async def test_what_names_a_brand_is_passed_on_as_it_is_written(site: FeedNetwork, at: SourceContext) -> None:
    await site.write("Acme Air, an old story")
    async with listening(build(at)) as ears:
        await until(lambda: ears.heard, at.clock)
        await site.write("Something else")
        link = await site.write("Acme Air <b>strands</b> & forgets")
        site.stories[-1].text = "<p>Hundreds slept in Oslo.</p>"
        await until(lambda: ears.items, at.clock)
    (item,) = ears.items
    assert (item["kind"], item["post_id"], item["permalink"]) == ("original", link, link)
    assert item["text"].startswith("<p>Acme Air <b>strands</b> & forgets (2)</p><p>Hundreds")
    assert item["author"] == {"id": "news.example", "handle": "news.example"}
    assert "backfill" not in item


async def test_every_entry_of_a_review_site_is_about_its_brand(site: FeedNetwork) -> None:
    async with made(site, feeds=[{"url": site.url, "about": ["acme"]}]) as at, listening(build(at)) as ears:
        await until(lambda: ears.heard, at.clock)
        await site.write("One star")
        await until(lambda: ears.items, at.clock)
        assert ears.items[0]["brands"] == ["acme"]


async def test_a_feed_that_did_not_change_is_not_sent_again_and_is_not_believed_for_ever(
    site: FeedNetwork, at: SourceContext
) -> None:
    await site.write("Acme Air, an old story")
    async with listening(build(at)) as ears:
        await until(lambda: len(site.asked) >= 3, at.clock, pace=30)
        assert "if-none-match" in site.asked[2]
        # A cache says "not modified" for ever, though there is something new.
        site.answer = Response(status_code=304)
        await site.write("Acme Air, a new story")
        at.clock.advance(fetching.TRUST_UNCHANGED.total_seconds())  # type: ignore[attr-defined]
        await reads(ears, site, 2)
        assert "if-none-match" not in site.asked[-1]
        site.answer = None
        await until(lambda: ears.items, at.clock)
        assert len(ears.items) == 1


async def test_all_ids_change_at_once_and_only_the_new_entry_is_news(site: FeedNetwork, at: SourceContext) -> None:
    for number in range(30):
        await site.write(f"Acme Air, story {number}")
    async with listening(build(at)) as ears:
        await until(lambda: ears.heard, at.clock)
        for story in site.stories:
            story.guid = f"anew-{story.guid}"
            story.link = story.link.replace("https://news.example", "https://www.moved.example/story")
        link = await site.write("Acme Air, the news")
        await until(lambda: ears.items, at.clock)
        await reads(ears, site, 2)
        assert [item["post_id"] for item in ears.items] == [link]


async def test_a_corrected_entry_is_an_edit_of_the_same_post(site: FeedNetwork, at: SourceContext) -> None:
    async with listening(build(at)) as ears:
        await until(lambda: ears.heard, at.clock)
        link = await site.write("Acme Air burns")
        await until(lambda: ears.items, at.clock)
        site.stories[-1].text = "A correction: it did not."
        await until(lambda: len(ears.items) >= 2, at.clock)
        assert ears.ids == [f"original {link}", f"edit {link}"]


async def test_a_restart_hears_what_was_written_meanwhile_and_nothing_twice(
    site: FeedNetwork, at: SourceContext
) -> None:
    for number in range(50):
        await site.write(f"Acme Air, story {number}")
    async with listening(build(at)) as ears:
        await until(lambda: ears.heard, at.clock)
        cursor = ears.cursor
    at.clock.advance(86_400)  # type: ignore[attr-defined]
    written = [await site.write(f"Acme Air, later story {number}") for number in range(40)]
    async with listening(build(at), cursor) as ears:
        await until(lambda: ears.items, at.clock)
        assert [item["post_id"] for item in ears.items] == written


async def test_what_was_heard_and_never_stored_is_heard_again_by_the_same_process(
    site: FeedNetwork, at: SourceContext
) -> None:
    one = build(at)
    async with listening(one) as ears:
        await until(lambda: ears.cursor, at.clock)
        before = ears.cursor
        link = await site.write("Acme Air burns")
        await until(lambda: ears.items, at.clock)
    async with listening(one, before) as ears:
        await until(lambda: ears.items, at.clock)
        assert ears.ids == [f"original {link}"]


@pytest.mark.parametrize(("status", "trouble"), [(410, Refused), (403, Refused), (500, Away), (429, Away)])
async def test_what_a_site_answers_is_told_as_what_it_means(
    site: FeedNetwork, at: SourceContext, status: int, trouble: type[Exception]
) -> None:
    async with listening(build(at)) as ears:
        await until(lambda: ears.heard, at.clock)
        site.server.refuse(status, {"Retry-After": "777"})
        await until(lambda: ears.trouble, at.clock, pace=30)
        assert type(ears.trouble) is trouble
        assert str(status) in str(ears.trouble)
        assert site.url in str(ears.trouble)
        if isinstance(ears.trouble, Away):
            assert ears.trouble.retry_after_seconds == 777


async def test_one_feed_in_trouble_keeps_no_other_from_being_read_and_is_stated_as_a_gap(site: FeedNetwork) -> None:
    gone = f"{site.server.url}/gone.xml"
    async with made(site, feeds=[{"url": gone}, {"url": site.url}]) as at, listening(build(at)) as ears:
        await until(lambda: ears.missed, at.clock, pace=30)
        assert ears.missed[0].ends is None
        assert gone in ears.missed[0].reason
        await site.write("Acme Air burns")
        await until(lambda: ears.items, at.clock)
        assert ears.trouble is None
        assert len(ears.missed) == 1


@pytest.mark.parametrize("packed", [False, True])
async def test_a_feed_of_fifty_megabytes_is_cut_and_its_newest_entries_are_read(
    site: FeedNetwork, at: SourceContext, packed: bool
) -> None:
    async with listening(build(at)) as ears:
        await until(lambda: ears.heard, at.clock)
        await site.write("Acme Air burns")
        body = site.document().replace(b"</channel></rss>", b"<item><title>" + b"x " * 25_000_000)
        headers = {"content-encoding": "gzip"} if packed else {}
        site.answer = Response(gzip.compress(body, 1) if packed else body, headers=headers)
        await until(lambda: ears.items, at.clock)
        assert ears.trouble is None


@pytest.mark.parametrize("headers", [{"content-encoding": "br"}, {"content-encoding": "gzip"}])
async def test_what_cannot_be_unpacked_is_trouble_and_not_an_empty_feed(
    site: FeedNetwork, at: SourceContext, headers: dict[str, str]
) -> None:
    site.answer = Response(b"rubbish", headers=headers)
    async with listening(build(at)) as ears:
        await until(lambda: ears.trouble, at.clock)
        assert isinstance(ears.trouble, Away)


async def test_a_redirect_is_followed_and_one_that_leads_inside_is_not(site: FeedNetwork) -> None:
    moved = f"{site.server.url}/moved"
    async with made(site, feeds=[{"url": moved}]) as at, listening(build(at)) as ears:
        await until(lambda: ears.heard, at.clock)
        assert site.asked
        site.answer = Response(status_code=302, headers={"location": "http://[::1]:1/inside"})
        await until(lambda: ears.trouble, at.clock)
        assert "not allowed" in str(ears.trouble)


async def test_a_redirect_that_goes_round_or_nowhere_ends(site: FeedNetwork, at: SourceContext) -> None:
    site.answer = Response(status_code=302, headers={"location": "/feed.xml"})
    async with listening(build(at)) as ears:
        await until(lambda: ears.trouble, at.clock)
        assert "more than 5 times" in str(ears.trouble)
    site.answer = Response(status_code=302, headers={"location": "file:///etc/passwd"})
    async with listening(build(at)) as ears:
        await until(lambda: ears.trouble, at.clock)
        assert "no web address" in str(ears.trouble)


async def test_a_page_that_says_please_wait_is_trouble_and_not_quiet(site: FeedNetwork, at: SourceContext) -> None:
    site.answer = Response(b"<!DOCTYPE html><html><title>Just a moment...</title></html>", media_type="text/html")
    async with listening(build(at)) as ears:
        await until(lambda: ears.trouble, at.clock)
        assert "is no feed" in str(ears.trouble)


async def test_dates_in_the_future_and_no_dates_keep_no_entry_from_being_heard(
    site: FeedNetwork, at: SourceContext
) -> None:
    async with listening(build(at)) as ears:
        await until(lambda: ears.heard, at.clock)
        await site.play(Fault.SKEW)
        one = await site.write("Acme Air, from the future")
        await site.write("Acme Air, undated")
        site.answer = Response(site.document().replace(b"pubDate", b"noDate", 2))
        await until(lambda: len(ears.items) >= 2, at.clock)
        assert one in {item["post_id"] for item in ears.items}
        assert not [item for item in ears.items if "backfill" in item]


CALLBACK = "https://firebreak.example.com/v1/sources/news"


async def subscribed(site: FeedNetwork, source: FeedSource) -> dict[str, str]:
    """The query with which the hub reaches us, once it has asked and was answered."""
    subscription = site.subscriptions[-1]
    query = {name: values[0] for name, values in parse_qs(urlsplit(subscription["hub.callback"]).query).items()}
    asked = {"hub.mode": "subscribe", "hub.topic": site.url, "hub.challenge": "echo me", "hub.lease_seconds": "86400"}
    reply = await source.receive(Received("GET", {}, {**query, **asked}, b""))
    assert (reply.status, reply.body) == (200, b"echo me")
    return query


async def test_a_feed_that_names_a_hub_is_pushed_and_read_more_rarely(site: FeedNetwork) -> None:
    site.hub = True
    async with made(site, callback=CALLBACK, at_most_seconds=3600) as at:
        source = build(at)
        async with listening(source) as ears:
            await until(lambda: site.subscriptions, at.clock)
            assert site.subscriptions[0]["hub.topic"] == site.url
            assert site.subscriptions[0]["hub.callback"].startswith(CALLBACK)
            assert "a long random text" not in str(site.subscriptions)
            query = await subscribed(site, source)
            link = await site.write("Acme Air burns")
            body = site.document()
            pushed = Received("POST", site.signed(body, site.subscriptions[0]), query, body)
            reply = await source.receive(pushed)
            assert [item["post_id"] for item in reply.heard.items] == [link]
            assert reply.heard.cursor is None
            # Nobody knows whether that was stored: the next reading says it again, and the log knows it.
            await until(lambda: ears.items, at.clock, pace=60)
            assert [item["post_id"] for item in ears.items] == [link]
            assert (await source.receive(pushed)).heard.items == []
            await until(lambda: len(site.subscriptions) >= 2, at.clock, pace=600)


async def test_nobody_but_the_hub_is_heard(site: FeedNetwork) -> None:
    site.hub = True
    async with made(site, callback=CALLBACK) as at:
        source = build(at)
        async with listening(source):
            await until(lambda: site.subscriptions, at.clock)
        query = await subscribed(site, source)
        await site.write("Acme Air burns")
        body = site.document()
        good = site.signed(body, site.subscriptions[0])
        for headers in (
            {},
            {"x-hub-signature": "sha256="},
            {"x-hub-signature": "md5=" + "0" * 32},
            {"x-hub-signature": good["x-hub-signature"][:-1] + "x"},
            site.signed(body, {"hub.secret": "another"}),
        ):
            with pytest.raises(Refused):
                await source.receive(Received("POST", headers, query, body))
        with pytest.raises(Refused):
            await source.receive(Received("POST", good, query, body + b" "))
        for strange in ({}, {"feed": ""}, {"feed": query["feed"][:-1]}, {"feed": "\udc80"}):
            assert (await source.receive(Received("POST", good, strange, body))).status == 404
        asked = {"hub.mode": "unsubscribe", "hub.topic": site.url, "hub.challenge": "c"}
        assert (await source.receive(Received("GET", {}, {**query, **asked}, b""))).status == 404
        other = {"hub.mode": "subscribe", "hub.topic": "https://other.example", "hub.challenge": "c"}
        assert (await source.receive(Received("GET", {}, {**query, **other}, b""))).status == 404


async def test_another_replica_knows_the_hub_by_the_secret_alone(site: FeedNetwork) -> None:
    site.hub = True
    async with made(site, callback=CALLBACK) as at:
        async with listening(build(at)):
            await until(lambda: site.subscriptions, at.clock)
        other = build(at)
        query = await subscribed(site, other)
        link = await site.write("Acme Air burns")
        body = site.document()
        reply = await other.receive(Received("POST", site.signed(body, site.subscriptions[0]), query, body))
        assert [item["post_id"] for item in reply.heard.items] == [link]
        with pytest.raises(ValueError, match="neither XML nor JSON"):
            await other.receive(Received("POST", site.signed(b"rubbish", site.subscriptions[0]), query, b"rubbish"))


async def test_a_callback_without_a_secret_is_refused(site: FeedNetwork) -> None:
    async with made(site, callback=CALLBACK) as at, listening(build(replace(at, secrets={}))) as ears:
        await until(lambda: ears.trouble, at.clock)
        assert isinstance(ears.trouble, Refused)
