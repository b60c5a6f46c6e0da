"""Real processes for tests that break them, started in a twentieth of the time.

They are forked from a parent that has imported everything (`tests.warm`), itself a fresh process with one thread. Each has a
number, can be killed and stopped by it, and ends with an exit code, like any other. Where the start itself is tested a
process is started as users start it.
"""

from __future__ import annotations

import asyncio
import importlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
_WARMING: Final = threading.Lock()


class Forked:
    """What `asyncio.subprocess.Process` is, as far as tests need it."""

    def __init__(self, process: ForkServerProcess) -> None:
        assert process.pid is not None
        self.pid = process.pid
        self._process = process
        self._end = asyncio.create_task(self._ended())

    @property
    def returncode(self) -> int | None:
        """Like that of `subprocess`: negative for the signal that ended it."""
        return self._process.exitcode

    async def wait(self) -> int:
        return await asyncio.shield(self._end)

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    async def end(self) -> None:
        """Whatever happened, it is gone afterwards."""
        self.send_signal(signal.SIGKILL)
        await self.wait()

    async def _ended(self) -> int:
        loop, gone = asyncio.get_running_loop(), asyncio.Event()
        # A pipe that only the child's parent holds: it is readable once the exit code is written to it.
        loop.add_reader(self._process.sentinel, gone.set)
        try:
            await gone.wait()
        finally:
            loop.remove_reader(self._process.sentinel)
        self._process.join()
        assert self._process.exitcode is not None
        return self._process.exitcode


async def fork(main: Callable[[], None], words: Sequence[str], environment: Mapping[str, str], said: Path) -> Forked:
    """Run `main()`, a function of a module, with these words as `sys.argv`, in a process whose environment is exactly this
    one. What it prints is added to the file `said`."""
    # Until everything is imported, whatever else is played side by side goes on. Afterwards this is the only thread that
    # starts processes and asks how they ended: two that ask at once would read one answer twice.
    context = await asyncio.to_thread(_warm)
    given = (main, list(words), dict(environment), str(said))
    process = context.Process(target=_child, args=given, daemon=True)  # none is left when the tests end
    process.start()
    return Forked(process)


def _warm() -> ForkServerContext:
    with _WARMING:
        return _context()


@cache
def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.warm"])
    # The parent inherits the environment, and finds the tests by it; each child is given another.
    found = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), found] if found else [str(ROOT)])
    try:
        first = context.Process(target=_nothing)
        first.start()
        first.join()
    finally:
        if found is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = found
    return context


def _nothing() -> None: ...


def _child(main: Callable[[], None], words: list[str], environment: dict[str, str], said: str) -> None:
    out = os.open(said, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for stream in (1, 2):
        os.dup2(out, stream)
    os.close(out)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = words
    # It was imported with the parent's environment, and which seam is armed stands in this one.
    importlib.reload(importlib.import_module("services.base.crashpoints"))
    main()
