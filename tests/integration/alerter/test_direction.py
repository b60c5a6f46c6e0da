"""What somebody else wrote turns nothing around on any page, nor in what any outlet sends."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from html.parser import HTMLParser

import pytest

from alerter.notify.formats import alertmanager, pagerduty, plain, slack, teams
from alerter.notify.formats.notice import notice_of
from services.contracts.direction import FIRST_STRONG_ISOLATE, POP_ISOLATE, TURNING
from services.contracts.signal import Level
from tests.integration.alerter.conftest import House, MakeHouse
from tests.integration.alerter.test_console import csrf, sign_in
from tests.unit.alerter import make

OVERRIDE = "\u202e"
ISOLATE = "\u2067"
HEBREW = "\u05e9\u05dc\u05d5\u05dd"
HOSTILE = f"{OVERRIDE}{HEBREW}{ISOLATE} moc.live"
VOID = {"meta", "link", "input", "br", "line", "rect", "circle", "polygon", "polyline"}


@pytest.fixture
async def house(make_house: MakeHouse) -> AsyncIterator[House]:
    people = [{"id": "lee", "name": HOSTILE, "methods": ["desk"]}]
    made = make_house(make.config(responders=people), public_url="http://alerter")
    await made.receiver.start()
    async with made.running():
        await made.endpoint("desk", description=HOSTILE)
        yield made


class Shown(HTMLParser):
    """The texts of a page, each with the elements around it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, bool]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        apart = any(tag in ("bdi", "title") or attributes.get("dir") == "auto" for tag, attributes in self.open)
        self.texts.append((data, apart))


def assert_calm(path: str, page: str) -> int:
    """How many foreign texts the page has, each of which is set apart."""
    assert not set(page) & set(map(chr, TURNING)), f"{path}: a character that turns the page around"
    foreign = [(text, apart) for text, apart in Shown(page).texts if HEBREW in text]
    assert [text for text, apart in foreign if not apart] == [], path
    return len(foreign)


async def test_no_page_is_turned_around_by_what_somebody_else_wrote(house: House) -> None:
    post = make.card(author="@" + HOSTILE, text=f"terrible {HOSTILE} <b>", account=f"bsky:{HOSTILE}")
    await house.signal(
        make.negative(post="p1").model_copy(update={"post": post}),
        make.forecast(root=post, reason=HOSTILE),
        make.unread(post="p9", story="bsky:p9").model_copy(update={"post": post.model_copy(update={"post_id": "p9"})}),
    )
    await house.settle()
    incident = (await house.incidents())[0]["id"]
    foreign = 0
    async with sign_in(house) as client:
        token = await csrf(client)
        for action, fields in (
            ("acknowledge", {"by": HOSTILE, "comment": HOSTILE}),
            ("reassign", {"by": HOSTILE, "comment": HOSTILE, "to": "lee"}),
            ("snooze", {"by": HOSTILE, "comment": HOSTILE, "minutes": 30}),
            ("acknowledge", {"by": HOSTILE, "comment": HOSTILE}),
        ):
            await house.http.post(f"/v1/incidents/{incident}/{action}", json=fields)
            await house.settle()
            pages = ["", f"/incidents/{incident}", "/answers", "/endpoints", "/brands", "/brands/acme", "/on-call"]
            pages += ["/rota", "/rota/responders/lee", "/people/lee", "/silences"]
            pages += [f"/deliveries/{one['id']}" for one in await house.deliveries()]
            for path in pages:
                answer = await client.get(f"/console{path}")
                assert answer.status_code == 200, path
                foreign += assert_calm(path, answer.text)
        wrong = await client.post(f"/console/incidents/{incident}/snooze", data={"csrf": token, "minutes": HOSTILE})
        assert_calm("an error", wrong.text)
        await house.http.post(f"/v1/incidents/{incident}/resolve", json={"by": HOSTILE, "comment": HOSTILE})
        foreign += assert_calm("over", (await client.get(f"/console/incidents/{incident}")).text)
    link = house.alerter.links.acknowledge(incident, "desk", house.alerter.context().wall)
    assert link is not None
    assert_calm("the link", (await house.http.get(link)).text)
    assert foreign > 40


async def test_no_outlet_passes_on_what_turns_its_message_around(house: House) -> None:
    await house.signal(make.forecast(reason=HOSTILE, level=Level.LIKELY))
    await house.settle()
    incident = (await house.incidents())[0]["id"]
    await house.http.post(f"/v1/incidents/{incident}/acknowledge", json={"by": HOSTILE, "comment": HOSTILE})
    await house.settle()
    seen = 0
    for request in house.receiver.got:
        notice = notice_of(request.raw)
        assert notice is not None
        sent = [
            *map(json.loads, (pagerduty.render(notice, "k" * 32), slack.render(notice), teams.render(notice))),
            alertmanager.words_of(notice),
            json.loads(alertmanager.render_webhook(notice, "firebreak", None)),
            plain.title(notice) + plain.lines(notice),
        ]
        for text in (json.dumps(one, ensure_ascii=False) for one in sent):
            assert OVERRIDE not in text
            assert ISOLATE not in text
            assert text.count(HEBREW) == text.count(FIRST_STRONG_ISOLATE + HEBREW + POP_ISOLATE)
            seen += text.count(HEBREW)
    assert seen > 5
