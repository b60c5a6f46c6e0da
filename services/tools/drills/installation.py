"""Firebreak in processes of its own, for drills and demonstrations: they are started, watched, killed on purpose and stopped in
order."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import httpx2
import yaml

from services.base.errors import FirebreakError
from services.config.model import Config

START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 30.0
IDLE_SECONDS: Final = 60.0


class DidNotStart(FirebreakError):
    """A process ended while it was starting, or was not ready in time. The text says where its log is."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Member:
    """One process that runs some of the services."""

    def __init__(self, services: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.services = tuple(services)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = log
        self._environment = environment
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        environment = {**os.environ, **self._environment, "FIREBREAK_PORT": str(self.port)}
        with self.log.open("ab") as out:
            # -P: whatever lies in the current folder under the name `services` is not ours.
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", "services", "run", *self.services, env=environment, stdout=out, stderr=out
            )

    async def ready(self) -> None:
        """Raises `DidNotStart`."""
        async with httpx2.AsyncClient(timeout=2) as client:
            try:
                async with asyncio.timeout(START_SECONDS):
                    while True:
                        if self._process is None or self._process.returncode is not None:
                            raise DidNotStart(
                                f"{', '.join(self.services)} ended while it was starting; see its log: {self.log}"
                            )
                        try:
                            if (await client.get(f"{self.url}/readyz")).status_code == 200:
                                return
                        except httpx2.TransportError:
                            pass
                        await asyncio.sleep(0.05)
            except TimeoutError:
                raise DidNotStart(
                    f"{', '.join(self.services)} was not ready in time; see its log: {self.log}"
                ) from None

    def send(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    async def ended(self) -> int:
        assert self._process is not None
        return await self._process.wait()

    async def stop(self) -> int | None:
        """Send SIGTERM, and SIGKILL when that takes too long. Returns the exit code."""
        if self._process is None:
            return None
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)
        try:
            return await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
        except TimeoutError:
            self.send(signal.SIGKILL)
            return await self._process.wait()


class Installation:
    """All services of one installation. `layout` says which of them share a process, `environment` adds settings, and all
    files are in `directory`."""

    def __init__(
        self,
        directory: Path,
        config: Config,
        environment: Mapping[str, str],
        layout: Sequence[Sequence[str]] = (("ingest", "scorer", "alerter"),),
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / "firebreak.yaml"
        path.write_text(yaml.safe_dump(config.model_dump(mode="json", exclude_defaults=True), sort_keys=False))
        shared = {"FIREBREAK_CONFIG": str(path), "FIREBREAK_DATA": str(directory), **environment}
        self.members = [
            Member(services, shared, directory / f"{number}-{'-'.join(services)}.log")
            for number, services in enumerate(layout)
        ]

    def url(self, service: str) -> str:
        return next(member.url for member in self.members if service in member.services)

    def of(self, service: str) -> list[Member]:
        return [member for member in self.members if service in member.services]

    async def start(self) -> None:
        for member in self.members:
            await member.start()
        await asyncio.gather(*(member.ready() for member in self.members))

    async def idle(self) -> bool:
        """Wait until no process has anything left to do, twice in a row, since one may have handed work to another in between.
        Returns False if that took too long."""
        calm = 0
        async with httpx2.AsyncClient(timeout=5) as client:
            try:
                async with asyncio.timeout(IDLE_SECONDS):
                    while calm < 2:
                        answers = [(await client.get(f"{member.url}/idlez")).status_code for member in self.members]
                        calm = calm + 1 if set(answers) == {200} else 0
                        await asyncio.sleep(0.05)
            except (TimeoutError, httpx2.TransportError):
                return False
        return True

    async def stop(self) -> list[int | None]:
        """Stop the processes in the order of the flow, so that what is in hand is finished downstream. Returns their exit
        codes."""
        return [await member.stop() for member in self.members]
