"""Behind `make images COMPOSE=1`: starts deploy/compose.yaml with podman-compose on the images that `make images` builds,
posts a complaint through it, waits for the webhook, stops everything, starts it again over its volumes, posts another, and
takes it down.

Images of others cannot be pulled everywhere: Kafka and PostgreSQL come from deploy/standins, under the names that the compose
file says. Where nothing runs health checks by a timer (no systemd), this runs them, as the file states them. Prometheus,
Alertmanager and Grafana are left out. Exit code 1 when anything is wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import httpx2
import yaml

from deploy.images import BASE, ROOT, Store, Wrong, build, console, make_base
from deploy.kafka_jars import jars
from services.base.clock import RealClock
from services.runtime.registry import SERVICES
from services.tools.drills.player import serving
from services.tools.sink import Sink

FILE: Final = ROOT / "deploy" / "compose.yaml"
STANDINS: Final = ROOT / "deploy" / "standins"
OTHERS: Final = ("kafka", "postgres")
DOORS: Final = {"ingest": "http://127.0.0.1:8081", "alerter": "http://127.0.0.1:8082"}
PATIENCE_SECONDS: Final = 120.0
LIMITS: Final = "--ulimit nofile=1024:1024 --ulimit nproc=1024:1024 --pull=never"
"""A container inside another one may not ask for more."""


def post(number: int) -> dict[str, Any]:
    """The post of the README's tour."""
    return {
        "network": "x", "post_id": str(number), "kind": "original",
        "author": {"id": f"471{number}", "handle": f"mia{number}", "followers": 40},
        "text": "@acmeair smoke in the cabin and nobody answers us. This is a disgrace.",
        "permalink": f"https://x.com/mia{number}/status/{number}",
    }  # fmt: skip


class Compose:
    """podman-compose over the storage of `make images`, with a project of its own."""

    def __init__(self, store: Store, folder: Path, program: str) -> None:
        self._store = store
        self._program = program
        self.project = f"firebreak-trial-{os.getpid()}"
        self._environment = folder / "env"
        self.keys = {name: secrets.token_hex(24) for name in DOORS}

    def write_environment(self) -> None:
        """Everything that compose.env.example asks for."""
        values = {
            "POSTGRES_PASSWORD": secrets.token_hex(24),
            "GRAFANA_ADMIN_PASSWORD": secrets.token_hex(24),
            "FIREBREAK_API_KEYS": f"trial:{self.keys['ingest']}",
            "FIREBREAK_ADMIN_KEY": self.keys["alerter"],
            "FIREBREAK_SECRET_KEYS": base64.b64encode(secrets.token_bytes(32)).decode(),
            "FIREBREAK_PUBLIC_URL": DOORS["alerter"],
            # The sink listens on the gateway of the project's own network.
            "FIREBREAK_EGRESS_ALLOW": "10.0.0.0/8",
        }
        self._environment.touch(mode=0o600)
        self._environment.write_text("".join(f"{name}={value}\n" for name, value in values.items()))

    def do(self, *words: str) -> None:
        command = [
            self._program, f"--podman-args={' '.join(self._store.where)}", f"--podman-run-args={LIMITS}",
            "--file", str(FILE), "--env-file", str(self._environment), "--project-name", self.project, *words,
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode:
            raise Wrong(
                f"podman-compose {' '.join(words)} ended with {done.returncode}: {(done.stdout + done.stderr)[-3000:]}"
            )

    def name(self, service: str) -> str:
        return f"{self.project}_{service}_1"

    def state(self, service: str) -> dict[str, Any]:
        return dict(json.loads(self._store.podman("inspect", self.name(service)))[0])

    def gateway(self) -> str:
        (network,) = json.loads(self._store.podman("network", "inspect", f"{self.project}_default"))
        return str(network["subnets"][0]["gateway"])

    def until_healthy(self, *services: str) -> None:
        """By the health check of the compose file or, where it has none, of the image."""
        until = time.monotonic() + PATIENCE_SECONDS
        for service in services:
            while True:
                with contextlib.suppress(Wrong):
                    self._store.podman("healthcheck", "run", self.name(service))
                    break
                if time.monotonic() > until:
                    raise Wrong(f"{service} is not healthy: {self.logs(service)}")
                time.sleep(0.5)

    def logs(self, service: str) -> str:
        return self._store.podman("logs", "--tail", "30", self.name(service), errors_too=True)[-3000:]


def stand_in(store: Store, folder: Path) -> None:
    """Build what stands for the images of others, under their names. Raises `Wrong`."""
    context = folder / "standins"
    shutil.copytree(STANDINS, context)
    shutil.copytree(jars(), context / "libs")
    named = yaml.safe_load(FILE.read_text())["services"]
    for service in OTHERS:
        store.buildah(
            "bud", "--isolation", "chroot", "--format", "docker", "--layers", "--ulimit", "nofile=1024:1024",
            "--pull-never", "--build-arg", f"BASE={BASE}", "--target", service, "--tag", named[service]["image"],
            str(context),
        )  # fmt: skip


def check_confined(compose: Compose) -> None:
    for service in SERVICES:
        state = compose.state(service)
        confined = (
            state["HostConfig"]["ReadonlyRootfs"],
            not state["EffectiveCaps"],
            "no-new-privileges" in " ".join(state["HostConfig"]["SecurityOpt"]),
            state["Config"]["User"] == "10001:10001",
        )
        if not all(confined):
            raise Wrong(f"{service} (read only, no capabilities, no new privileges, nobody in particular): {confined}")


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            with contextlib.suppress(httpx2.TransportError):
                if await holds():
                    return
            await asyncio.sleep(0.2)


@contextlib.asynccontextmanager
async def calling(compose: Compose) -> AsyncIterator[Callable[..., Awaitable[httpx2.Response]]]:
    """Calls of a service by method, name, path and body, with the key for it, once both doors are open."""
    async with httpx2.AsyncClient(timeout=20) as client:

        async def ready() -> bool:
            answers = [(await client.get(f"{url}/readyz")).status_code for url in DOORS.values()]
            return set(answers) == {200}

        async def call(method: str, service: str, path: str, body: Any = None) -> httpx2.Response:
            headers = {"authorization": f"Bearer {compose.keys[service]}"}
            return (await client.request(method, DOORS[service] + path, json=body, headers=headers)).raise_for_status()

        await until(ready)
        yield call


async def tell(compose: Compose) -> None:
    """A complaint in, the webhook out, verified by the reference library."""
    sink = Sink(RealClock())
    async with serving(sink, compose.gateway()) as url, calling(compose) as call:
        made = await call("POST", "alerter", "/v1/endpoints", {"name": "front-desk", "url": f"{url}/hooks/front-desk"})
        sink.secrets["front-desk"] = made.json()["secret"]
        await call("POST", "ingest", "/v1/posts", post(1))

        async def received() -> bool:
            return bool(sink.received)

        await until(received)
    first = sink.received[0]
    console.print(f"verified {first.body['type']} {first.body['data']['title']}", markup=False)


async def go_on(compose: Compose) -> None:
    """After a restart over the same volumes the incident is there, and another post opens another."""
    async with calling(compose) as call:
        await call("POST", "ingest", "/v1/posts", post(2))

        async def both() -> bool:
            found = (await call("GET", "alerter", "/v1/incidents")).json()["items"]
            return {one["story"] for one in found} == {"x:1", "x:2"}

        await until(both)


def play(compose: Compose) -> None:
    console.print("starting Kafka and PostgreSQL ...")
    compose.do("up", "--detach", "--no-build", *OTHERS)
    compose.until_healthy(*OTHERS)
    console.print(f"starting {', '.join(SERVICES)} ...")
    compose.do("up", "--detach", "--no-build", *SERVICES)
    compose.until_healthy(*SERVICES)
    check_confined(compose)
    asyncio.run(tell(compose))
    compose.do("stop", *SERVICES)
    ended = {service: compose.state(service)["State"]["ExitCode"] for service in SERVICES}
    if any(ended.values()):
        raise Wrong(f"exit codes after a stop: {ended}")
    compose.do("stop", *OTHERS)
    console.print("starting all of it again ...")
    compose.do("start", *OTHERS)
    compose.until_healthy(*OTHERS)
    compose.do("start", *SERVICES)
    asyncio.run(go_on(compose))


def main() -> None:
    parser = argparse.ArgumentParser(prog="make images COMPOSE=1", description=__doc__)
    parser.add_argument("--keep", type=Path, default=ROOT / "build" / "images", help="where the images are kept")
    asked = parser.parse_args()
    path = os.pathsep.join([os.environ["PATH"], "/usr/sbin", str(Path(sys.executable).parent)])
    needed = ("buildah", "podman", "runc", "iptables", "podman-compose")
    found = {tool: shutil.which(tool, path=path) for tool in needed}
    if missing := [tool for tool, where in found.items() if where is None]:
        sys.exit(f"needs {', '.join(missing)}: apt-get install buildah podman runc netavark aardvark-dns iptables; "
                 "pip install podman-compose")  # fmt: skip
    store = Store(asked.keep)
    with tempfile.TemporaryDirectory(prefix="firebreak-compose-") as folder:
        compose = Compose(store, Path(folder), found["podman-compose"] or "")
        compose.write_environment()
        try:
            make_base(store, asked.keep)
            for service in SERVICES:
                build(store, service, BASE)
            stand_in(store, Path(folder))
            try:
                play(compose)
            except BaseException:
                for service in (*OTHERS, *SERVICES):
                    with contextlib.suppress(Wrong):
                        console.print(f"{service}:\n{compose.logs(service)}", markup=False)
                raise
            finally:
                compose.do("down", "--volumes")
        except (Wrong, TimeoutError, httpx2.HTTPError) as error:
            console.print(f"[red]wrong[/] {error!r}")
            sys.exit(1)
    console.print("ok: up, a verified webhook, an orderly stop, up again over its volumes, down")


if __name__ == "__main__":
    main()
