"""The configuration of running processes: changed by hand, by signal and by itself, broken, and found broken at a restart."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2

from services.config.loading import parse
from services.tools.drills.installation import Installation, Member
from services.tools.drills.player import Keys
from tests.e2e.test_cli import firebreak
from tests.patience import PATIENCE_SECONDS

ONE = "brands: [{id: acme, name: Acme}]\n"
TWO = "brands: [{id: acme, name: Acme}, {id: blue, name: Blue}]\n"
BROKEN = "brands: [{id: acme, nmae: Acme}]\n"
SPREAD = (("ingest",), ("scorer",), ("scorer",), ("alerter",))


class Running:
    """The processes of an installation, and the file that all of them read."""

    def __init__(self, installation: Installation, folder: Path, keys: Keys) -> None:
        self.installation = installation
        self.file = folder / "firebreak.yaml"
        self.keys = keys
        self.client = httpx2.AsyncClient(timeout=10)

    async def ready(self, member: Member) -> dict[str, Any]:
        answer = await self.client.get(f"{member.url}/readyz")
        said: dict[str, Any] = answer.json()
        return said

    async def versions(self) -> set[str]:
        return {(await self.ready(member))["config"]["version"] for member in self.installation.members}

    async def until(self, member: Member, **wanted: bool) -> dict[str, Any]:
        """What `/readyz` says of the configuration, once it says that it is refused or not."""
        said: dict[str, Any]
        async with asyncio.timeout(PATIENCE_SECONDS):
            while ("refused" in (said := (await self.ready(member)).get("config", {}))) != wanted["refused"]:
                await asyncio.sleep(0.05)
        return said

    async def post(self, text: str, post_id: str) -> list[str]:
        """The results of one post that declares the brand `blue`."""
        answer = await self.client.post(
            f"{self.installation.url('ingest')}/v1/posts",
            json={"network": "x", "post_id": post_id, "kind": "original", "text": text, "brands": ["blue"]},
            headers={"authorization": f"Bearer {self.keys.post}"},
        )
        return [one["status"] for one in answer.json()["results"]]


@asynccontextmanager
async def running(folder: Path, layout: Any = (("ingest", "scorer", "alerter"),)) -> AsyncIterator[Running]:
    keys = Keys.fresh()
    settings = {**keys.environment(), "FIREBREAK_PARTITIONS": "2", "FIREBREAK_SENTIMENT": "lexicon"}
    installation = Installation(folder, parse(ONE), settings, layout)
    here = Running(installation, folder, keys)
    try:
        await installation.start()
        yield here
    finally:
        await installation.stop()
        await here.client.aclose()


async def test_every_process_takes_a_changed_file_by_itself_and_says_so(tmp_path: Path) -> None:
    async with running(tmp_path, SPREAD) as here:
        (before,) = await here.versions()
        assert await here.post("Blue is late", "1") == ["rejected"]
        here.file.write_text(TWO)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while before in await here.versions():
                await asyncio.sleep(0.05)
        (after,) = await here.versions()
        assert await here.post("Blue is late", "2") == ["accepted"]
        for member in here.installation.members:
            metrics = (await here.client.get(f"{member.url}/metrics")).text
            assert f'firebreak_config_info{{version="{after}"}} 1.0' in metrics
            assert before not in metrics
            assert 'firebreak_config_reloads_total{outcome="taken"} 1.0' in metrics


async def test_the_command_the_signal_and_a_restart_meet_a_broken_file(tmp_path: Path) -> None:
    async with running(tmp_path) as here:
        (member,) = here.installation.members

        async def reload() -> Any:
            # In a thread, so that this loop goes on reading; the URL as an operator on the same machine has it.
            return await asyncio.to_thread(
                lambda: firebreak("reload", ADMIN_KEY=here.keys.admin, PORT=str(member.port))
            )

        version = (await here.ready(member))["config"]["version"]
        here.file.write_text(TWO)
        taken = await reload()
        assert taken.returncode == 0, taken.stderr
        two = (await here.ready(member))["config"]["version"]
        assert f"{two} is in force" in taken.stdout
        assert two != version
        assert f"{two} is in force, as it was before" in (await reload()).stdout

        here.file.write_text(BROKEN)
        refused = await reload()
        assert refused.returncode == 1
        assert "firebreak.yaml:1: brands.0.nmae" in refused.stderr
        assert f"{two} is still in force" in refused.stderr
        said = await here.until(member, refused=True)
        assert said["version"] == two
        assert "nmae" not in str(said), "anybody may read it"
        assert await here.post("Blue is late", "1") == ["accepted"]

        member.send(signal.SIGKILL)
        await member.ended()
        await member.start()
        await member.ready()
        assert (await here.until(member, refused=True))["version"] == two
        assert await here.post("Blue is late", "2") == ["accepted"]
        assert "firebreak_config_refused 1.0" in (await here.client.get(f"{member.url}/metrics")).text
        assert "runs_on_the_last_good_configuration" in member.log.read_text()

        here.file.write_text(ONE)
        member.send(signal.SIGHUP)
        assert (await here.until(member, refused=False))["version"] != two
        assert await here.post("Blue is late", "3") == ["rejected"]


def test_reloading_says_what_it_needs_and_that_nobody_answers() -> None:
    assert "FIREBREAK_ADMIN_KEY" in firebreak("reload").stderr
    nobody = firebreak("reload", "--url", "http://127.0.0.1:1", ADMIN_KEY="a-key-for-nobody-at-all")
    assert nobody.returncode == 1
    assert "did not answer" in nobody.stderr
    assert "a-key-for-nobody" not in nobody.stderr + nobody.stdout
    assert "Traceback" not in nobody.stderr
