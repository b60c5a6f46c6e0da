"""A request waits for nothing of ours: no connection, no name of somebody else. What is given up leaves nothing behind."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from alerter.notify.connections import MAX_IDLE, Connections
from alerter.notify.http import HttpSender, Request
from alerter.states import AttemptOutcome
from services.base import egress
from services.base.egress import GuardedBackend, resolve
from tests.integration.alerter import receiver
from tests.integration.alerter.receiver import Receiver
from tests.patience import PATIENCE_SECONDS

LOOPBACK = egress.allowed_networks("127.0.0.0/8")


def sender_of(seconds: float = PATIENCE_SECONDS) -> HttpSender:
    return HttpSender(GuardedBackend(LOOPBACK), time.time, timeout_seconds=seconds)


@pytest.fixture
async def hooks() -> Any:
    one = Receiver(keeps_alive=True)
    await one.start()
    yield one
    await one.stop()


class Names:
    """A name server for which some names hang."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.asked: list[str] = []
        self._real = socket.getaddrinfo

    def __call__(self, host: str, port: int, *rest: Any, **more: Any) -> Any:
        self.asked.append(host)
        if host.startswith("hangs"):
            self.over.wait(PATIENCE_SECONDS)
        return self._real("127.0.0.1", port, *rest, **more)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    made = Names()
    monkeypatch.setattr(socket, "getaddrinfo", made)
    yield made
    made.over.set()


async def test_names_that_hang_hold_up_no_other_name(names: Names) -> None:
    hanging = [asyncio.create_task(resolve(f"hangs{number}.example", 80)) for number in range(100)]
    await asyncio.sleep(0)
    assert await asyncio.wait_for(resolve("well.example", 80), PATIENCE_SECONDS) == ["127.0.0.1"]
    assert not any(task.done() for task in hanging)
    names.over.set()
    await asyncio.gather(*hanging)


async def test_a_name_that_hangs_is_looked_up_once_for_all_who_ask_and_nobody_ends_it_for_the_others(
    names: Names,
) -> None:
    first, *rest = [asyncio.create_task(resolve("hangs.example", 80)) for _ in range(20)]
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    names.over.set()
    assert await asyncio.gather(*rest) == [["127.0.0.1"]] * 19
    assert names.asked == ["hangs.example"]


async def test_more_names_than_may_hang_are_refused_and_not_waited_for(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(egress, "MAX_LOOKUPS", 2)
    hanging = [asyncio.create_task(resolve(f"hangs{number}.example", 80)) for number in range(2)]
    await asyncio.sleep(0)
    result = await sender_of().send(Request("http://third.example/x", {}, b"{}"))
    assert result.outcome is AttemptOutcome.UNREACHABLE
    names.over.set()
    await asyncio.gather(*hanging)


async def test_a_handshake_that_hangs_is_given_up_with_its_connection() -> None:
    closed = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(4096):
            pass
        closed.set()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    sender = sender_of(0.3)
    result = await sender.send(Request(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/x", {}, b"{}"))
    assert result.outcome is AttemptOutcome.TIMEOUT
    await asyncio.wait_for(closed.wait(), PATIENCE_SECONDS)
    await sender.close()
    server.close()


async def test_a_receiver_is_not_charged_for_the_time_in_which_this_process_was_held_up(hooks: Receiver) -> None:
    """As after a suspension: the time limit is over when the process looks up, and the request has not even gone out."""
    sender = sender_of(0.3)
    sending = asyncio.create_task(sender.send(Request(hooks.url("/x"), {}, b"{}")))
    await asyncio.sleep(0)
    began = time.monotonic()
    while time.monotonic() - began < 1.0:
        pass
    assert (await sending).outcome is AttemptOutcome.DELIVERED
    await sender.close()


async def test_more_requests_than_were_ever_shared_are_made_at_once(hooks: Receiver) -> None:
    everybody = asyncio.Event()

    async def meet(got: receiver.Got, writer: asyncio.StreamWriter) -> None:
        if len(hooks.got) == 300:
            everybody.set()
        await everybody.wait()
        await receiver.status(204)(got, writer)

    hooks.answers["/x"] = meet
    sender = sender_of()
    results = await asyncio.gather(*(sender.send(Request(hooks.url("/x"), {}, b"{}")) for _ in range(300)))
    assert {result.outcome for result in results} == {AttemptOutcome.DELIVERED}
    assert sender._connections._count <= MAX_IDLE
    await sender.close()


async def test_a_connection_is_used_again_and_one_that_the_receiver_closed_is_no_failure(hooks: Receiver) -> None:
    sender = sender_of()
    request = Request(hooks.url("/x"), {}, b"{}")
    for _ in range(5):
        assert (await sender.send(request)).outcome is AttemptOutcome.DELIVERED
    assert hooks.connections == 1

    async def leave(got: receiver.Got, writer: asyncio.StreamWriter) -> None:
        if len(hooks.got) == 6:
            writer.transport.abort()  # after the request came in on the old connection
        else:
            await receiver.status(204)(got, writer)

    hooks.answers["/x"] = leave
    assert (await sender.send(request)).outcome is AttemptOutcome.DELIVERED
    assert hooks.connections == 2
    await sender.close()


async def test_connections_that_nobody_asks_for_again_are_closed(
    hooks: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = sender_of()
    await sender.send(Request(hooks.url("/x"), {}, b"{}"))
    other = Receiver(keeps_alive=True)
    await other.start()
    await sender.send(Request(other.url("/x"), {}, b"{}"))
    kept: Connections = sender._connections
    assert kept._count == 2
    now = time.monotonic() + 3600
    monkeypatch.setattr(time, "monotonic", lambda: now)
    await sender.send(Request(other.url("/x"), {}, b"{}"))
    assert (kept._count, len(kept._idle)) == (1, 1)
    await sender.close()
    await other.stop()
