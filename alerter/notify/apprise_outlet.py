"""Delivers by e-mail, text message and the hundred other services of the `apprise` library, addressed by its URLs.

The library opens connections as it likes and blocks while it does, so it runs in processes of its own. There a hook
below all Python code checks every connection against our list of addresses. A call that hangs is killed. The time limit
begins with the call, and not with the start of a process for it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from alerter.notify.attempt import Result
from alerter.notify.formats import plain
from alerter.notify.formats.notice import Status, notice_of
from alerter.notify.outlet import OutboundMessage
from alerter.states import AttemptOutcome
from services.base.egress import Network

IDLE_WORKERS: Final = 4
"""Processes that are kept for the next attempt. How many may run at once is decided by `places`."""
TIMEOUT_SECONDS: Final = 20.0
START_SECONDS: Final = 30.0
_TYPES: Final = {
    Status.FIRING: "failure",
    Status.ACKNOWLEDGED: "warning",
    Status.RESOLVED: "success",
    Status.NOTE: "info",
    Status.DRILL: "warning",
}
_KEPT: Final = ("PATH", "LANG", "LC_ALL", "HOME", "SSL_CERT_FILE", "SSL_CERT_DIR", "SYSTEMROOT", "VIRTUAL_ENV")
"""The variables that a worker inherits: none of our secrets, and no proxy that would hide where a connection leads."""

Started = asyncio.subprocess.Process


class AppriseOutlet:
    def __init__(self, allowed: Sequence[Network], body: Callable[[OutboundMessage], bytes]) -> None:
        self._allowed = [str(network) for network in allowed]
        self._body = body
        self._checks = asyncio.Semaphore(IDLE_WORKERS)
        self._idle: list[Started] = []
        self._all: set[Started] = set()

    async def deliver(self, message: OutboundMessage) -> Result:
        notice = notice_of(self._body(message))
        if notice is None:
            return Result(
                AttemptOutcome.DELIVERED, detail="nothing to send: this receiver never got the text of a post"
            )
        question = {
            "url": message.url,
            "title": plain.title(notice),
            "forms": plain.forms(notice),
            "type": _TYPES[notice.status],
        }
        return await self._ask(question)

    async def check(self, url: str) -> Result:
        """Whether the URL can be an endpoint: `DELIVERED` if it can, although nothing is sent."""
        async with self._checks:
            return await self._ask({"url": url})

    async def _ask(self, question: Mapping[str, object]) -> Result:
        began = time.monotonic()
        worker = self._idle.pop() if self._idle else None
        try:
            worker = worker or await self._start()
            async with asyncio.timeout(TIMEOUT_SECONDS):
                answer = await _asked(worker, question)
            if len(self._idle) < IDLE_WORKERS:
                self._idle.append(worker)
                worker = None
        except TimeoutError:
            return Result(AttemptOutcome.TIMEOUT, detail=f"no answer within {TIMEOUT_SECONDS:g} s")
        except (OSError, ValueError, EOFError) as error:
            return Result(AttemptOutcome.UNREACHABLE, detail=f"the Apprise process ended: {type(error).__name__}")
        finally:
            if worker is not None:
                await self._end(worker)
        return Result(AttemptOutcome(answer["outcome"]), detail=answer["detail"], seconds=time.monotonic() - began)

    async def _start(self) -> Started:
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        worker = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "alerter.notify.apprise_worker", *self._allowed),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=environment,
        )
        self._all.add(worker)
        assert worker.stdout is not None
        try:
            async with asyncio.timeout(START_SECONDS):
                if not await worker.stdout.readline():
                    raise EOFError
        except TimeoutError:
            await self._end(worker)
            raise OSError("it did not start in time") from None
        except BaseException:
            await self._end(worker)
            raise
        return worker

    async def _end(self, worker: Started) -> None:
        self._all.discard(worker)
        if worker.returncode is None:
            worker.kill()
        await worker.wait()

    async def close(self) -> None:
        for worker in list(self._all):
            await self._end(worker)
        self._idle.clear()


async def _asked(worker: Started, question: Mapping[str, object]) -> dict[str, str]:
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write(json.dumps(question).encode() + b"\n")
    await worker.stdin.drain()
    line = await worker.stdout.readline()
    if not line:
        raise EOFError
    answer: dict[str, str] = json.loads(line)
    return answer
