"""What apprise brings arrives as it was written, in as much of it as the service takes, at every service that is used by name.

The library itself renders; in place of its connections a recorder answers, because these services have one address each.
"""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import apprise
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from alerter.notify import buttons
from alerter.notify.apprise_worker import _fitted
from alerter.notify.formats import lengths, native, plain
from alerter.notify.formats.notice import Notice, notice_of
from alerter.notify.links import LinkSigner
from alerter.notify.outlet import Keys, Kind, OutboundMessage
from alerter.notify.outlets import coded
from services.contracts.incident import Change
from services.contracts.post import SourcePolicy
from tests.unit.alerter import make
from tests.unit.alerter.test_formats import incident

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what the library imports
STEP = 'Call <duty manager> on +44 20 7946 0000 & say "don\'t wait": *now*, _please_, [see](this), `code`, 100 %, #1'
LINKS = LinkSigner("https://firebreak.example", b"k" * 32)
LIMITS = {
    "tgram://123456789:abcdefg_hijklmnop/12315544": 4096,
    "pover://uuuuuuuuuuuuuuuuuuuuuuuuuuuuuu@tttttttttttttttttttttttttttttt": 1024,
    "twilio://AC" + "a" * 32 + ":" + "b" * 32 + "@15555555555/15555555556": 1600,
    "vonage://aaaaaaaa:bbbbbbbbbbbbbbbb@15555555555/15555555556": 160,
    "msgbird://" + "a" * 25 + "/15555555555/15555555556": 160,
    "sinch://" + "a" * 32 + ":" + "b" * 32 + "@15555555555/15555555556": 160,
    "plivo://MA" + "A" * 18 + "@" + "b" * 40 + "/15555555555/15555555556": 140,
    "telnyx://" + "a" * 20 + "@15555555555/15555555556": 160,
    "ntfys://ntfy.example/topic": 4096,
    "gotifys://gotify.example/abcdefghijklmno": 32_768,
    "discord://" + "1" * 24 + "/" + "a" * 64: 2000,
    "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ": 35_000,
    "mmosts://mattermost.example/" + "a" * 26: 4000,
    "rockets://" + "a" * 26 + "/" + "b" * 44 + "@rocket.example/#channel": 1000,
    "gchat://workspace/key/token": 4000,
    "signals://signal.example/15555555555/15555555556": 32_768,
    "matrixs://user:token@matrix.example/#room?mode=slack": 65_000,
    "jsons://hook.example/x": 32_768,
}


ELSEWHERE = frozenset({"XML", "seven", "Line", "Form", "Join", "JSON", "Jira", "Mastodon"})
"""Services whose names are everyday words, or that the documents mean as a system with tickets or a network that is heard."""
DOCS = Path(__file__).parents[3] / "docs"


def test_every_service_that_the_documents_name_is_tried_here_or_in_a_mailbox() -> None:
    """By its name, or by the scheme of its URL."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in DOCS.glob("*.md"))
    found: dict[str, list[str]] = {}
    for one in apprise.Apprise().details()["schemas"]:
        name, schemes = str(one["service_name"]), [*(one["protocols"] or ()), *(one["secure_protocols"] or ())]
        named = name not in ELSEWHERE and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text)
        if named or any(re.search(rf"(?<!\w){scheme}://", text) for scheme in schemes):
            found[name] = schemes
    assert {"Pushover", "Twilio", "Telegram", "ntfy", "Vonage"} <= found.keys()
    tried = {url.partition(":")[0] for url in LIMITS} | {"mailto"}
    assert [name for name, schemes in found.items() if not tried.intersection(schemes)] == []


@pytest.mark.parametrize("scheme", ["twilio", "vonage", "msgbird", "sinch", "plivo", "telnyx"])
def test_the_code_to_reply_with_stands_in_the_first_text_message_with_its_title(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = native.render(incident(first_step=STEP), Change.OPENED, "x", lambda _: SourcePolicy.TEXT_ALLOWED, None)
    message = OutboundMessage("msg_1", "out", Kind.APPRISE, "incident.opened", "", Keys(hears=True), body, make.NOW)
    one = notice_of(coded(message, LINKS))
    assert one is not None
    url = next(url for url in LIMITS if url.startswith(scheme))
    taken = sent(url, one, monkeypatch)
    code = buttons.code_of(LINKS, "0" * 32, "out")
    (first, *_) = [text for text in strings(taken[0]) if "Acme" in text]
    assert f"To take it: reply {code} to this message" in first


def notice(**more: Any) -> Notice:
    body = native.render(
        incident(**{"first_step": STEP, **more}),
        Change.UPDATED,
        "it has crossed the line",
        lambda _: SourcePolicy.TEXT_ALLOWED,
        "https://firebreak.example",
    )
    made = notice_of(LINKS.stamped(body, "out", make.NOW))
    assert made is not None
    return made


def trial() -> Notice:
    made = notice_of(native.render_test("out", make.NOW))
    assert made is not None
    return made


def sent(url: str, one: Notice, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Returns the bodies of all requests, as text with nothing escaped for the transport."""
    taken: list[str] = []

    def record(_self: Any, request: Any, **_more: Any) -> requests.Response:
        raw = request.body.decode() if isinstance(request.body, bytes) else request.body or ""
        form = "urlencoded" in str(request.headers.get("content-type", ""))
        taken.append(json.dumps(parse_qs(raw)) if form else raw)
        answer = requests.Response()
        answer.status_code, answer.request = 200, request
        answer._content = b"ok" if "slack.com" in request.url else b'{"ok": true, "messages": []}'
        return answer

    monkeypatch.setattr(requests.Session, "send", record)
    target = apprise.Apprise.instantiate(url)
    assert target is not None, url
    target.request_rate_per_sec = 0
    for title, text in _fitted(target, plain.title(one), plain.forms(one)):
        assert target.notify(
            body=text, title=title, notify_type="failure", body_format=target.resolve_format("text")
        ), url
    return taken


def strings(body: str) -> list[str]:
    """Every text in a request's body."""
    try:
        found = json.loads(body)
    except ValueError:
        return [body]
    every: list[str] = []
    waiting = [found]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
        elif isinstance(one, str):
            every.append(one)
    return every


def read(text: str) -> str:
    """What a person reads of a text that was escaped as HTML or Markdown."""
    return re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", unescape(text))


@pytest.mark.parametrize("kind", ["page", "test"])
@pytest.mark.parametrize("url", LIMITS, ids=lambda url: url.partition(":")[0])
def test_a_step_with_signs_arrives_whole_within_the_limit_of_its_service(
    url: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = notice() if kind == "page" else trial()
    taken = sent(url, one, monkeypatch)
    assert taken
    every = [text for body in taken for text in strings(body)]
    assert max(len(text) for text in every) <= LIMITS[url]
    told = read("\n".join(every))
    if LIMITS[url] > 160:
        assert "Call <duty manager> on +44 20 7946 0000 & say" in told
        assert "\nWho has it:" in told.replace("\r\n", "\n"), "each fact has a line of its own"
    if kind == "page":
        assert "https://firebreak.example/" in told


@pytest.mark.parametrize("scheme", ["tgram", "pover"])
def test_where_a_service_reads_markup_ours_is_the_only_one(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    url = next(one for one in LIMITS if one.startswith(scheme))
    every = "\n".join(
        text for body in sent(url, notice(title="<b>Acme</b>: a story"), monkeypatch) for text in strings(body)
    )
    assert ("&lt;duty manager&gt;" in every) is (scheme == "tgram"), "what Telegram reads is HTML, or it answers 400"
    assert ("<duty manager>" in every) is (scheme == "pover"), (
        "what Pushover reads is plain unless it is asked otherwise"
    )
    assert "&lt;b&gt;Acme" in every or scheme == "pover", "also in the title, which is a line of its text there"


def test_a_long_page_is_sent_in_the_longest_form_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    long = notice(reason="it is so " * 100)
    urls = {url.partition(":")[0]: url for url in LIMITS}
    assert "it is so it is so" in "".join(sent(urls["jsons"], long, monkeypatch))
    (short,) = sent(urls["pover"], long, monkeypatch)
    assert "it is so it is so" not in short
    for words in ("By when", "Who has it", "First step", "https://firebreak.example/acknowledge/"):
        assert words in read(short)
    texts = sent(urls["vonage"], long, monkeypatch)
    assert 1 < len(texts) <= lengths.MOST_PARTS
    assert any("https://firebreak.example/console/incidents/" in text for text in texts), "an address is never cut"


def test_what_ntfy_would_make_a_file_of_is_sent_shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts bytes, and letters of many languages have three."""
    url = next(one for one in LIMITS if one.startswith("ntfy"))
    (sent_,) = sent(url, notice(reason="日本語" * 400, first_step="本" * 900), monkeypatch)
    (text,) = [one for one in strings(sent_) if "By when" in one]
    assert len(text.encode()) <= 4096
    assert "https://firebreak.example/acknowledge/" in text


def test_nobody_in_a_chat_is_called_by_what_a_page_quotes() -> None:
    said = plain.forms(notice(reason="posts say @everyone, @here and @Channel; write to a@allied.example"))[0]
    for name in ("@everyone", "@here", "@Channel"):
        assert name not in said
    assert "a@allied.example" in said


@given(st.text(max_size=400), st.text(max_size=900), st.integers(1, 300))
def test_no_part_is_longer_than_its_service_takes(title: str, text: str, most: int) -> None:
    found = lengths.parts(title, text, lambda part: len(part) <= most)
    assert 1 <= len(found) <= lengths.MOST_PARTS
    assert all(len(part) <= most for part in found)


def test_a_title_is_one_line_whatever_it_is_made_of() -> None:
    assert "\n" not in plain.title(notice(title="Acme:\r\nBcc: everybody@example.com"))
