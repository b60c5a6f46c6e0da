"""A page by e-mail, through the worker, to a real SMTP server: with its lines, and with every sign that a playbook holds."""

from __future__ import annotations

import asyncio
import importlib
import os
import re
from collections.abc import AsyncIterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.integration.alerter.conftest import House, MakeHouse
from tests.unit.alerter import make

STEP = "Call <duty manager> on +44 20 7946 0000 & say so"


class Box:
    """What arrives in the mailbox."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.port = 0

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - the library's name
        found = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(found, EmailMessage)
        self.mails.append(found)
        return "250 OK"


@pytest.fixture
async def mailbox() -> AsyncIterator[Box]:
    try:
        smtp: Any = importlib.import_module("aiosmtpd.smtp")
    except ImportError:
        why = "NO SMTP SERVER, NOT TESTED AGAINST THE REAL THING: aiosmtpd is not installed"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(why)
        pytest.skip(why)
    box = Box()
    server = await asyncio.get_running_loop().create_server(lambda: smtp.SMTP(box), "127.0.0.1", 0)
    box.port = server.sockets[0].getsockname()[1]
    yield box
    server.close()
    await server.wait_closed()


async def mailed(house: House, box: Box, count: int) -> list[str]:
    """Returns the texts of all mails, once there are so many."""
    await house.settle()
    assert [one["attempts"][-1]["detail"] for one in await house.deliveries() if one["state"] != "delivered"] == []
    assert len(box.mails) == count
    texts = []
    for mail in box.mails:
        part = mail.get_body(("plain",))
        assert part is not None, "the form in which nothing can be taken for markup"
        texts.append(part.get_content().replace("\r\n", "\n"))
    return texts


async def test_the_link_of_a_mail_opens_the_page_and_only_its_button_takes_it(
    make_house: MakeHouse, mailbox: Box
) -> None:
    """Mail scanners open every link of a mail."""
    house = make_house(make.config(policies=[{"id": "default", "steps": [{"endpoints": ["all"]}]}]))
    await house.receiver.start()
    async with house.running():
        url = f"mailto://127.0.0.1:{mailbox.port}?from=firebreak@example.com&to=dana@example.com&mode=insecure"
        await house.http.post("/v1/endpoints", json={"name": "mail", "kind": "apprise", "url": url})
        await house.signal(make.forecast())
        (text,) = await mailed(house, mailbox, 1)
        (link,) = re.findall(r"^I have it: (https://firebreak\.example/acknowledge/\S+)$", text, re.MULTILINE)
        path = urlsplit(link).path
        assert "<button>I have it</button>" in (await house.http.get(path)).text
        assert (await house.incidents())[0]["acknowledged_by"] is None
        assert "You have it until" in (await house.http.post(path, data={"by": "Dana"})).text
        assert (await house.incidents())[0]["acknowledged_by"] == "Dana (mail)"


async def test_a_mail_keeps_its_lines_and_every_sign(make_house: MakeHouse, mailbox: Box) -> None:
    books = {"answer": f"# When it spreads\n\n1. {STEP}\n"}
    house = make_house(make.config(policies=[{"id": "default", "steps": [{"endpoints": ["all"]}]}], playbooks=books))
    await house.receiver.start()
    async with house.running():
        url = f"mailto://127.0.0.1:{mailbox.port}?from=firebreak@example.com&to=dana@example.com&mode=insecure"
        answer = await house.http.post("/v1/endpoints", json={"name": "mail", "kind": "apprise", "url": url})
        assert answer.status_code == 201, answer.text
        await house.signal(make.forecast())
        (opened,) = await mailed(house, mailbox, 1)
        lines = opened.strip().split("\n")
        assert f"First step: {STEP}" in lines
        names = [line.partition(":")[0] for line in lines]
        assert [name for name in names if name in ("What changed", "By when", "Who has it", "First step")] == [
            *("What changed", "By when", "Who has it", "First step")
        ]
        (incident,) = await house.incidents()
        who = "Dana <b>the</b> & only"
        await house.http.post(f"/v1/incidents/{incident['id']}/acknowledge", json={"by": who})
        assert f"{who} has it" in (await mailed(house, mailbox, 2))[1], "a name is no markup in anybody's mail"
        await house.http.post("/v1/endpoints/mail/test")
        trial = (await mailed(house, mailbox, 3))[2]
        assert "Call <duty manager> on +44 20 7946 0000 & say" in trial
        assert len(trial) > len(opened), "a test is as long as a real page"
