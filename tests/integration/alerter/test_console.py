"""The console without a browser: who gets in, what a form may do, and what no page ever shows."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from alerter.api.auth import Caller
from alerter.api.scopes import Scope
from alerter.console import rendering
from alerter.console.live import fingerprint
from alerter.store.tables import sessions
from services.contracts.signal import CrossingTime, Level
from tests.integration.alerter.conftest import KEY, House, MakeHouse
from tests.integration.alerter.receiver import verify
from tests.integration.alerter.test_keys import make_key
from tests.patience import PATIENCE_SECONDS
from tests.unit.alerter import make

MAX_PAGE_BYTES = 100_000


@pytest.fixture
async def house(make_house: MakeHouse) -> AsyncIterator[House]:
    made = make_house(public_url=None)
    await made.receiver.start()
    async with made.running():
        await made.endpoint("desk")
        yield made


def browser(house: House) -> httpx2.AsyncClient:
    """A client without any key: only cookies."""
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=house.app), base_url="http://alerter")


@asynccontextmanager
async def sign_in(house: House, key: str = KEY, person: str = "dana") -> AsyncIterator[httpx2.AsyncClient]:
    async with browser(house) as client:
        answer = await client.post("/console/login", data={"key": key, "person": person, "next": "/console"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/console"), answer.text
        yield client


async def csrf(client: httpx2.AsyncClient) -> str:
    found = re.search(r'name="csrf" value="([0-9a-f]{64})"', (await client.get("/console")).text)
    assert found is not None
    return found[1]


async def one_incident(house: House, **more: Any) -> str:
    await house.signal(make.forecast(**more))
    await house.settle()
    identity: str = (await house.incidents())[0]["id"]
    return identity


async def test_without_a_session_every_page_leads_to_the_login(house: House) -> None:
    async with browser(house) as client:
        for path in ("/console", "/console/endpoints", "/console/incidents/" + "0" * 32):
            answer = await client.get(path)
            assert answer.status_code == 303
            assert answer.headers["location"] == f"/console/login?next={path}"
        streaming = await client.get("/console/live", headers={"accept": "text/event-stream"})
        assert streaming.status_code == 401
        assert (await client.get("/console/login")).status_code == 200
        wrong = await client.post("/console/login", data={"key": "wrong", "person": "x"})
        assert wrong.status_code == 401
        assert "That key does not work" in wrong.text
        assert not client.cookies
        for client.headers["authorization"] in (f"Bearer {KEY}", KEY):
            assert (await client.get("/console")).status_code == 303, "a key in a header is no session"


async def test_an_incident_shows_the_reply_that_drives_it_beside_the_post(house: House) -> None:
    incident = await one_incident(house, driver=make.card("p7"))
    async with sign_in(house) as client:
        page = (await client.get(f"/console/incidents/{incident}")).text
        assert "The reply that drives it" in page
        story = page[page.index('<section id="story"') :]
        assert story.index("the text of p7") < story.index("the text of p1")
        await house.signal(make.redacted("p7"))
        await house.settle()
        assert "the text of p7" not in (await client.get(f"/console/incidents/{incident}")).text


async def test_the_cookie_is_kept_from_scripts_and_other_sites(make_house: MakeHouse) -> None:
    for public_url, secure in ((None, False), ("https://firebreak.example", True)):
        house = make_house(public_url=public_url)
        async with house.running(), sign_in(house) as client:
            answer = await client.post("/console/login", data={"key": KEY})
            (cookie,) = answer.headers.get_list("set-cookie")
            assert {"HttpOnly", "SameSite=lax", "Path=/console"} <= set(cookie.split("; "))
            assert ("Secure" in cookie.split("; ")) == secure


async def test_the_database_holds_no_session_that_could_be_used(house: House) -> None:
    async with sign_in(house) as client:
        token = client.cookies["firebreak_session"]
        rows = await house.alerter.database.read(lambda c: c.execute(sessions.select()).all())
        assert len(rows) == 1
        assert token not in str(rows)
        assert KEY not in str(rows)


async def test_a_form_without_our_token_or_from_another_site_does_nothing(house: House) -> None:
    incident = await one_incident(house)
    address = f"/console/incidents/{incident}/acknowledge"
    async with sign_in(house) as client:
        right = await csrf(client)
        forged: list[tuple[dict[str, str], dict[str, str]]] = [
            ({"comment": "x"}, {}),
            ({"csrf": "0" * 64}, {}),
            ({"csrf": "\u00e9"}, {}),
            ({"csrf": right}, {"origin": "https://evil.example"}),
            ({"csrf": right}, {"origin": "null"}),
            ({"csrf": right}, {"sec-fetch-site": "cross-site"}),
        ]
        for form, headers in forged:
            assert (await client.post(address, data=form, headers=headers)).status_code == 403
        assert (await client.post(address, json={"csrf": right})).status_code == 422
        assert (await client.get(address)).status_code == 405
        assert (await house.incidents())[0]["acknowledged_by"] is None
        done = await client.post(address, data={"csrf": right, "comment": "mine"}, headers={"origin": "http://alerter"})
        assert done.status_code == 303
        assert (await house.incidents())[0]["acknowledged_by"] == "dana"
        # Another session's token is not ours.
        async with sign_in(house, person="eve") as other:
            assert (await other.post(address, data={"csrf": right})).status_code == 403


async def test_a_deed_is_done_as_the_person_and_written_down_with_the_key(house: House) -> None:
    incident = await one_incident(house)
    key = await make_key(house, "night-shift", "respond")
    async with sign_in(house, key["authorization"].removeprefix("Bearer "), "Jo Li") as client:
        token = await csrf(client)
        answer = await client.post(
            f"/console/incidents/{incident}/acknowledge", data={"csrf": token, "from": "board", "comment": "calling"}
        )
        assert answer.headers["location"] == "/console?done=acknowledged"
        board = (await client.get(answer.headers["location"])).text
        assert "You have it" in board
        assert re.search(r"<strong><bdi>Jo Li \(night-shift\)</bdi></strong>\s+has it", board)
        answer = await client.post(f"/console/incidents/{incident}/resolve", data={"csrf": token})
        assert answer.headers["location"] == f"/console/incidents/{incident}?done=resolved"
        again = await client.post(f"/console/incidents/{incident}/resolve", data={"csrf": token})
        assert again.status_code == 409
        assert "resolved" in again.text
    changes = (await house.http.get("/v1/audit?actor=night-shift")).json()["items"]
    assert [c["what"] for c in changes] == ["incident.resolved", "incident.acknowledged"]
    assert changes[1]["detail"] == {"by": "Jo Li (night-shift)", "comment": "calling"}
    await house.settle()
    assert house.receiver.types("/desk") == ["incident.opened", "incident.acknowledged", "incident.resolved"]


async def test_a_key_shows_and_does_only_what_it_may(house: House) -> None:
    await house.signal(make.forecast(), make.forecast(story="bsky:p2", brand="other"))
    await house.settle()
    ids = {item["brand"]: item["id"] for item in await house.incidents()}
    key = await make_key(house, "reader", "read", "acme")
    async with sign_in(house, key["authorization"].removeprefix("Bearer ")) as client:
        board = (await client.get("/console")).text
        assert ids["acme"] in board
        assert ids["other"] not in board
        assert "acknowledge" not in board, "a button that only refuses helps nobody"
        assert (await client.get(f"/console/incidents/{ids['acme']}")).status_code == 200
        assert (await client.get(f"/console/incidents/{ids['other']}")).status_code == 404
        assert (await client.get("/console/endpoints")).text.count("e-desk") == 0, "desk is for every brand"
        token = await csrf(client)
        for path in (
            f"incidents/{ids['acme']}/acknowledge",
            "endpoints/desk/test",
            f"deliveries/msg_{'0' * 32}/resend",
        ):
            assert (await client.post(f"/console/{path}", data={"csrf": token})).status_code == 403
        assert (await house.http.delete("/v1/keys/reader")).status_code == 204
        assert (await client.get("/console")).status_code == 303, "a revoked key ends its sessions"


async def test_signing_out_ends_the_session(house: House) -> None:
    async with sign_in(house) as client:
        held = client.cookies["firebreak_session"]
        answer = await client.post("/console/logout", data={"csrf": await csrf(client)})
        assert answer.headers["location"] == "/console/login"
        client.cookies.set("firebreak_session", held)
        assert (await client.get("/console")).status_code == 303


async def test_the_login_leads_nowhere_else(house: House) -> None:
    for target in ("https://evil.example", "//evil.example", "/console//evil.example", "/\\evil.example", "/v1/keys"):
        async with browser(house) as client:
            answer = await client.post("/console/login", data={"key": KEY, "next": target})
            assert answer.headers["location"] == "/console", target


async def test_what_others_wrote_is_shown_and_never_run(house: House) -> None:
    card = make.card(
        text="<script>alert(1)</script><img src=x onerror=alert(2)>",
        author='"><b>x</b>',
        permalink="javascript:alert(3)",
        reply_link="data:text/html,<script>alert(4)</script>",
    )
    incident = await one_incident(house, root=card)
    async with sign_in(house, person="<i>dana</i>") as client:
        for path in ("/console", f"/console/incidents/{incident}"):
            answer = await client.get(path)
            assert "&lt;script&gt;alert(1)" in answer.text
            assert not re.search(
                r"<script(?! src=)|onerror=alert\(2\)>(?!&)|<b>x</b>|<i>dana|javascript:|data:text",
                answer.text.replace("&lt;img src=x onerror=alert(2)&gt;", ""),
            )


async def test_every_answer_has_a_policy_that_runs_nothing_of_others(house: House) -> None:
    incident = await one_incident(house)
    async with sign_in(house) as client:
        paths = (
            "/console",
            f"/console/incidents/{incident}",
            "/console/endpoints",
            "/console/login",
            "/console/incidents/x",
        )
        for path in paths:
            answer = await client.get(path)
            policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
            assert policy["default-src"] == "'none'"
            assert policy["script-src"] == policy["style-src"] == "'self'"
            assert policy["frame-ancestors"] == "'none'"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["cache-control"] == "no-store"
            assert not re.search(r"<style|style=|<script(?! src=\"/console/static/)|\son\w+=", answer.text), path
            addresses = re.findall(r'(?:src|href|action)="([^"]+)"', answer.text)
            outside = {urlsplit(a).netloc for a in addresses if urlsplit(a).netloc}
            assert outside <= {"bsky.example"}, "links to posts alone"


async def test_a_page_with_all_it_needs_is_below_100_kb(house: House) -> None:
    await house.signal(
        *(make.forecast(story=f"bsky:s{n}", loudest=tuple(make.card(f"l{k}") for k in range(5))) for n in range(20))
    )
    await house.settle()
    incident = (await house.incidents())[0]["id"]
    async with sign_in(house) as client:
        assets = sum(len(rendering.static(name)[0]) for name in rendering.KINDS)
        for path in ("/console", f"/console/incidents/{incident}", "/console/endpoints"):
            page = (await client.get(path)).content
            assert len(page) + assets < MAX_PAGE_BYTES, (path, len(page), assets)


async def test_many_incidents_are_shown_page_by_page_the_most_urgent_first(house: House) -> None:
    count = 45
    crossing = make.NOW + timedelta(hours=1)
    times = [
        CrossingTime(earliest=crossing + timedelta(minutes=n), expected=crossing + timedelta(hours=2))
        for n in range(count)
    ]
    await house.signal(*(make.forecast(story=f"bsky:s{n}", crossing=times[n]) for n in range(count)))
    await house.settle()
    due = sorted(
        (one["answer_by"], one["id"]) for one in (await house.http.get("/v1/incidents?limit=100")).json()["items"]
    )
    assert len(due) == count
    found: list[str] = []
    async with sign_in(house) as client:
        assets = sum(len(rendering.static(name)[0]) for name in rendering.KINDS)
        path: str | None = "/console"
        while path is not None:
            page = (await client.get(path)).text
            assert len(page.encode()) + assets < MAX_PAGE_BYTES, path
            assert f'<span class="count">{count}</span>' in page, "all are counted on every page"
            assert f"of {count}, the most urgent first" in page
            found += re.findall(r'data-incident="([0-9a-f]+)"', page)
            onward = re.search(r'id="less-urgent" href="([^"]+)"', page)
            path = onward[1] if onward is not None else None
        assert (await client.get("/console?from=-1")).status_code == 404
    assert found == [identity for _, identity in due]


async def test_static_files_are_kept_for_ever_under_an_address_of_their_content(house: House) -> None:
    async with browser(house) as client:
        for name, kind in rendering.KINDS.items():
            answer = await client.get(rendering.static_address(name))
            assert answer.headers["content-type"].startswith(kind)
            assert "immutable" in answer.headers["cache-control"]
        for path in ("old/console.css", f"{rendering.static('console.js')[1]}/console.css", "x/..%2F..%2Fpages.py"):
            assert (await client.get(f"/console/static/{path}")).status_code == 404


async def test_an_endpoint_is_tested_and_a_delivery_sent_again_from_its_page(house: House) -> None:
    await one_incident(house)
    (delivery,) = await house.deliveries()
    async with sign_in(house) as client:
        token = await csrf(client)
        assert (await client.post("/console/endpoints/desk/test", data={"csrf": token})).status_code == 303
        answer = await client.post(f"/console/deliveries/{delivery['id']}/resend", data={"csrf": token})
        assert answer.headers["location"] == "/console/endpoints?done=resent"
        await house.settle()
        assert house.receiver.types("/desk").count("endpoint.test") == 1
        assert [one.id for one in house.receiver.at("/desk")].count(delivery["id"]) == 2
        page = (await client.get("/console/endpoints")).text
        assert "endpoint.test" in page
        assert delivery["id"] in page


async def test_a_delivery_shows_what_was_sent_and_what_came_back(house: House) -> None:
    incident = await one_incident(house)
    (delivery,) = await house.deliveries()
    async with sign_in(house) as client:
        page = (await client.get(f"/console/deliveries/{delivery['id']}")).text
        assert "incident.opened" in page
        assert incident in page
        assert "Attempt 1" in page
        assert (await client.get(f"/console/deliveries/msg_{'0' * 32}")).status_code == 404


async def test_a_new_secret_is_shown_once_and_signs_beside_the_old_one(house: House) -> None:
    key = await make_key(house, "reader", "read", "acme")
    async with sign_in(house, key["authorization"].removeprefix("Bearer ")) as reader:
        refused = await reader.post("/console/endpoints/desk/secret", data={"csrf": await csrf(reader)})
        assert refused.status_code == 403
    async with sign_in(house) as client:
        answer = await client.post("/console/endpoints/desk/secret", data={"csrf": await csrf(client)})
        shown = re.search(r"whsec_[A-Za-z0-9+/=]+", answer.text)
        assert shown is not None
        assert answer.headers["cache-control"] == "no-store"
        assert shown.group() not in (await client.get("/console/endpoints")).text
    await one_incident(house)
    (message,) = house.receiver.at("/desk")
    verify(shown.group(), message)
    assert len(message.headers["webhook-signature"].split()) == 2


async def next_event(stream: AsyncIterator[bytes]) -> dict[str, str]:
    """The next event that is more than a comment or a setting."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for chunk in stream:
            fields = dict(line.split(": ", 1) for line in chunk.decode().splitlines() if ": " in line[1:])
            if "event" in fields:
                return fields
    raise AssertionError("the stream ended")


async def yes() -> bool:
    return True


async def test_an_open_page_hears_of_what_it_may_see_and_of_nothing_else(house: House) -> None:
    database, live_updates = house.alerter.database, house.alerter.live_updates
    acme, other = (Caller("x", Scope.READ, frozenset({brand})) for brand in ("acme", "other"))
    knows = {who: await database.read(lambda c, w=who: fingerprint(c, w)) for who in (acme, other)}  # type: ignore[misc]
    await house.http.delete("/v1/endpoints/desk?even_if_named=true")
    knows = {who: await database.read(lambda c, w=who: fingerprint(c, w)) for who in (acme, other)}  # type: ignore[misc]
    stream = live_updates.stream(acme, knows[acme], yes)
    await house.signal(make.forecast())
    heard = await next_event(stream)
    assert heard["event"] == "changed"
    assert await database.read(lambda c: fingerprint(c, other)) == knows[other]
    # It says once that something is new, and then what is known.
    assert heard["id"] == await database.read(lambda c: fingerprint(c, acme))
    await stream.aclose()  # type: ignore[attr-defined]


async def test_a_page_that_opens_with_an_old_version_hears_so_at_once(house: House) -> None:
    stream = house.alerter.live_updates.stream(Caller("x", Scope.READ), "an older one", yes)
    assert (await next_event(stream))["event"] == "changed"
    await stream.aclose()  # type: ignore[attr-defined]


async def test_a_page_whose_session_ended_is_told_and_let_go(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alerter.console.live.BEAT_SECONDS", 0.01)

    async def no() -> bool:
        return False

    known = await house.alerter.database.read(lambda c: fingerprint(c, Caller("x", Scope.READ)))
    stream = house.alerter.live_updates.stream(Caller("x", Scope.READ), known, no)
    assert (await next_event(stream))["event"] == "over"
    assert [chunk async for chunk in stream] == []


async def test_a_page_too_many_ends_the_oldest_of_its_session_then_of_its_key_then_of_the_largest_key(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    for bound, most in (("PAGES_OF_A_SESSION", 2), ("PAGES_OF_A_KEY", 3), ("MAX_PAGES", 5)):
        monkeypatch.setattr(f"alerter.console.live.{bound}", most)
    opened: dict[str, AsyncIterator[bytes]] = {}

    async def show(page: str, key: str, session: str) -> None:
        stream = house.alerter.live_updates.stream(Caller(key, Scope.READ), "", yes, session=session)
        await anext(stream)
        opened[page] = stream

    async def is_over(page: str) -> bool:
        return [chunk async for chunk in opened.pop(page)][-1].startswith(b"event: crowded")

    for number in range(3):
        await show(f"tab {number}", "team", "dana")
    assert await is_over("tab 0")
    await show("phone", "team", "dana's phone")
    await show("erin", "team", "erin")
    assert await is_over("tab 1"), "the oldest of the key"
    for number in range(2):
        await show(f"desk {number}", "desk", f"desk {number}")
    await show("night", "night", "night")
    assert await is_over("tab 2"), "the oldest of those who have most"
    assert len(house.alerter.live_updates._pages) == len(opened) == 5
    for stream in opened.values():
        await stream.aclose()  # type: ignore[attr-defined]
    assert not house.alerter.live_updates._pages


async def test_open_pages_do_not_hold_up_a_stop(make_house: MakeHouse) -> None:
    house = make_house()
    async with house.running():
        stream = house.alerter.live_updates.stream(Caller("x", Scope.READ), "", yes)
        reading = asyncio.create_task(_read_all(stream))
        await house.settle()
    async with asyncio.timeout(PATIENCE_SECONDS):
        await reading


async def _read_all(stream: AsyncIterator[bytes]) -> None:
    async for _ in stream:
        pass


async def test_the_pages_know_what_easing_and_crossed_mean(house: House) -> None:
    incident = await one_incident(house)
    async with sign_in(house) as client:
        assert "to cross 500 engagements" in (await client.get("/console")).text
        await house.signal(make.forecast(2, Level.CROSSED, crossed_at=make.NOW))
        await house.settle()
        page = (await client.get(f"/console/incidents/{incident}")).text
        assert "It has crossed the line" in page
        assert re.search(r"Answer</span>\s*<strong>now", page)
        await house.http.post(f"/v1/incidents/{incident}/resolve", json={"by": "dana"})
        page = (await client.get(f"/console/incidents/{incident}")).text
        assert "<strong>over</strong>" in page
        assert "I have it" not in page


async def test_what_a_person_may_say_of_an_incident_is_said_on_its_page(house: House) -> None:
    await house.endpoint("lee")
    incident = await one_incident(house)
    async with sign_in(house) as client:
        token = await csrf(client)

        async def say(deed: str, **fields: str) -> str:
            answer = await client.post(f"/console/incidents/{incident}/{deed}", data={"csrf": token, **fields})
            if answer.status_code != 303:
                return answer.text
            return (await client.get(answer.headers["location"])).text

        assert "minutes: " in await say("snooze", minutes="never")
        assert "outcome: " in await say("outcome", outcome="splendid")
        assert "to: " in await say("reassign", to="")
        assert "you can ask desk, lee" in await say("reassign", to="Nobody Atall")
        snoozed = await say("snooze", minutes="30", comment="after the meeting")
        assert re.search(r"<b><bdi>dana</bdi></b> snoozed it until", snoozed)
        assert "after the meeting" in snoozed
        assert re.search(r"Assigned to <strong><bdi>lee", await say("reassign", to="lee"))
        assert "I still have it" in await say("acknowledge")
        assert 'aria-pressed="true">Too late' in await say("outcome", outcome="too_late")
        page = (await client.get(f"/console/incidents/{incident}")).text
        assert "Is it over?" in page[page.index("<details") : page.index("Yes, it is over")], (
            "it asks, without a script"
        )
        assert "Undo: it is not over" in await say("resolve")
        board = (await client.get("/console")).text
        assert f'action="/console/incidents/{incident}/reopen"' in board
        assert "It is open again" in await say("reopen")
        assert "only what is over can be reopened" in await say("reopen")
        await say("resolve")
        house.clock.advance(10 * 60)
        assert "Undo" not in (await client.get("/console")).text
        page = (await client.get(f"/console/incidents/{incident}")).text
        assert "Undo" not in page
        assert "Reopen: it is not over" in page
        assert 'aria-pressed="true">Useful' in await say("outcome", outcome="useful")
    (item,) = await house.incidents()
    assert item["outcome"] == "useful"
    changes = [c["what"] for c in (await house.http.get("/v1/audit")).json()["items"] if c["on"] == incident]
    assert changes == [
        f"incident.{w}"
        for w in ("marked", "resolved", "reopened", "resolved", "marked", "acknowledged", "reassigned", "snoozed")
    ]
