"""Behind `make images`: builds deploy/Dockerfile, looks into the three images, and plays a drill through them to the end over
a real Kafka and a real PostgreSQL. No daemon is needed: buildah builds, podman runs.

Figures (components, sizes, build and start times, what the night was worth) go to build/images.json, bills of materials to
build/sbom. Exit code 1 when anything is wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import httpx2
import yaml
from rich.console import Console
from rich.table import Table

from deploy.local_kafka import LocalKafka
from deploy.local_postgres import LocalPostgres
from deploy.requirements import canonical, pinned
from services.base.clock import ScaledClock, moment
from services.runtime.registry import SERVICES
from services.tools.drills.crowd import Night
from services.tools.drills.installation import free_port
from services.tools.drills.judge import Report
from services.tools.drills.player import Keys, Player, play_live, serving
from services.tools.drills.script import Script, load
from services.tools.drills.show import show_message, show_report
from services.tools.sink import Sink

ROOT: Final = Path(__file__).parents[1]
DOCKERFILE: Final = ROOT / "deploy" / "Dockerfile"
DRILL: Final = ROOT / "deploy" / "drills" / "1-quoted-by-the-loud.yaml"
BASE: Final = "localhost/firebreak-base:bookworm"
"""Stands for the Dockerfile's own base where no registry of images can be reached: Debian with its Python."""
DEBIAN: Final = "http://deb.debian.org/debian"
LENT: Final = ("/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt")
"""How this machine reaches its package index; lent to the build, never copied into an image."""
START_SECONDS: Final = 90.0
STOP_SECONDS: Final = 30
SBOM: Final = "/opt/firebreak/sbom.cdx.json"
NEVER_IN: Final = {
    "ingest": ("torch", "onnxruntime", "numpy", "sqlalchemy", "scorer", "alerter"),
    "scorer": ("torch", "sqlalchemy", "ingest", "alerter"),
    "alerter": ("torch", "onnxruntime", "numpy", "scorer", "ingest"),
}
LOOK: Final = """
import importlib.util, json, os, sys
try:
    open("/opt/firebreak/probe", "w").close(); wrote = True
except OSError:
    wrote = False
print(json.dumps({"uid": os.getuid(), "wrote": wrote, "found": [m for m in sys.argv[1:] if importlib.util.find_spec(m)]}))
"""

console = Console()


class Wrong(Exception):
    """Something is not as it should be; the text says what."""


class Store:
    """buildah and podman over one storage of their own, so that nothing of the machine's is touched."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._storage = [
            "--storage-driver",
            "overlay",
            "--root",
            str(folder / "store"),
            "--runroot",
            str(folder / "run"),
        ]
        # runc, because crun wants more of the kernel than a container inside another one gets.
        runtime = ["--runtime", shutil.which("runc") or "/usr/sbin/runc", "--cgroup-manager", "cgroupfs"]
        self.where = [*self._storage, *runtime]
        """What podman has to be told before everything else."""

    def buildah(self, *arguments: str) -> str:
        return _run("buildah", *self._storage, *arguments)

    def podman(self, *arguments: str, env: Mapping[str, str] | None = None, errors_too: bool = False) -> str:
        return _run("podman", *self.where, *arguments, env=env, errors_too=errors_too)

    def has(self, image: str) -> bool:
        return image in self.podman("images", "--format", "{{.Repository}}:{{.Tag}}").split()

    def bytes_of(self, image: str) -> int:
        return int(json.loads(self.podman("image", "inspect", image))[0]["Size"])


def _run(*command: str, env: Mapping[str, str] | None = None, errors_too: bool = False) -> str:
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **(env or {})}, capture_output=True, text=True, timeout=1800, check=False
    )
    if done.returncode:
        raise Wrong(f"{command[0]} ended with {done.returncode}: {(done.stdout + done.stderr)[-3000:]}")
    return done.stdout + (done.stderr if errors_too else "")


def make_base(store: Store, folder: Path) -> None:
    if store.has(BASE):
        return
    console.print("making a base image of Debian bookworm ...")
    tree = folder / "base"
    shutil.rmtree(tree, ignore_errors=True)
    packages = "ca-certificates,python3,python3-venv"
    _run("debootstrap", "--variant=minbase", f"--include={packages}", "bookworm", str(tree), DEBIAN)
    for junk in (*(tree / "var/cache/apt/archives").glob("*.deb"), *(tree / "var/lib/apt/lists").glob("*_*")):
        junk.unlink()
    packed = folder / "base.tar"
    _run("tar", "--create", f"--directory={tree}", f"--file={packed}", ".")
    store.podman("import", str(packed), BASE)
    packed.unlink()
    shutil.rmtree(tree)


def build(store: Store, service: str, base: str | None) -> float:
    """Seconds that it took; nearly none when nothing changed."""
    began = time.monotonic()
    given = ["--build-arg", f"PYTHON_IMAGE={base}", "--pull-never"] if base else []
    lent = [part for path in LENT if Path(path).exists() for part in ("--volume", f"{path}:{path}:ro")]
    store.buildah(
        "bud", "--isolation", "chroot", "--format", "docker", "--layers", "--ulimit", "nofile=1024:1024", *given, *lent,
        "--target", service, "--tag", _image(service), "--file", str(DOCKERFILE), str(ROOT),
    )  # fmt: skip
    return time.monotonic() - began


def _image(service: str) -> str:
    return f"localhost/firebreak-{service}:latest"


SAFELY: Final = (
    "--pull=never", "--network", "host", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024",
    "--read-only", "--read-only-tmpfs=false", "--cap-drop", "all", "--security-opt", "no-new-privileges",
)  # fmt: skip
_TMPFS: Final = "rw,size=256m,mode=1777,notmpcopyup"
SCRATCH: Final = ("--tmpfs", f"/tmp:{_TMPFS}", "--tmpfs", f"/var/lib/firebreak:{_TMPFS}")  # noqa: S108 - inside it


def look_inside(store: Store, service: str) -> None:
    """Nobody in particular, a file system that cannot be written, and none of what other services need."""
    said = store.podman(
        "run",
        "--rm",
        "--no-healthcheck",
        *SAFELY,
        "--entrypoint",
        "python3",
        _image(service),
        "-c",
        LOOK,
        *NEVER_IN[service],
    )
    seen = json.loads(said)
    if seen["uid"] == 0 or seen["wrote"] or seen["found"]:
        raise Wrong(f"the image of {service}: {seen}")


def bill_of(store: Store, service: str) -> int:
    """Copy the image's bill of materials to build/sbom. Returns how many components it names. Raises `Wrong` if it does not
    name what the image was built from."""
    cat = ("--rm", "--no-healthcheck", *SAFELY, "--entrypoint", "cat")
    said = store.podman("run", *cat, _image(service), SBOM)
    named = {f"{canonical(one['name'])}=={one['version']}" for one in json.loads(said)["components"]}
    if missing := set(pinned(service)) - named:
        raise Wrong(f"the bill of materials of {service} does not name {', '.join(sorted(missing))}")
    folder = ROOT / "build" / "sbom"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{service}.cdx.json").write_text(said)
    return len(named)


class Containers:
    """The three services, each in a container of its own on the host's network."""

    def __init__(self, store: Store, config: Path, environment: Mapping[str, str]) -> None:
        self._store = store
        self._config = config
        self._environment = environment
        self._run = f"firebreak-{os.getpid()}"
        self.ports = {service: free_port() for service in SERVICES}
        self.started: dict[str, float] = {}

    def url(self, service: str) -> str:
        return f"http://127.0.0.1:{self.ports[service]}"

    def name(self, service: str) -> str:
        return f"{self._run}-{service}"

    def once(self, service: str, *command: str) -> str:
        """A command that ends by itself, in a container of that image."""
        return self._store.podman(*self._how("--rm", service), *command, env=self._environment)

    async def start(self, service: str) -> None:
        began = time.monotonic()
        self._store.podman(*self._how("--detach", service), env=self._environment)
        self.started[service] = 0.0
        async with httpx2.AsyncClient(timeout=2) as client:
            while time.monotonic() - began < START_SECONDS:
                try:
                    if (await client.get(f"{self.url(service)}/readyz")).status_code == 200:
                        self.started[service] = time.monotonic() - began
                        return
                except httpx2.TransportError:
                    pass
                await asyncio.sleep(0.05)
        raise Wrong(f"{service} was not ready in time")

    def _how(self, way: str, service: str) -> list[str]:
        # By name alone: what a value is must not stand in the list of processes.
        given = [part for name in self._environment for part in ("--env", name)]
        own = {"FIREBREAK_PORT": self.ports[service], "FIREBREAK_INSTANCE": service}
        given += [part for name, value in own.items() for part in ("--env", f"{name}={value}")]
        mounted = ("--volume", f"{self._config}:/etc/firebreak/firebreak.yaml:ro")
        return ["run", way, "--name", self.name(service), *SAFELY, *SCRATCH, *given, *mounted, _image(service)]

    def logs(self, service: str) -> str:
        return self._store.podman("logs", "--tail", "40", self.name(service), errors_too=True)[-3000:]

    def check_health(self, service: str) -> None:
        """By the image's own health check, as a container runtime would."""
        shape = json.loads(self._store.podman("image", "inspect", _image(service)))[0]
        check = (shape.get("HealthCheck") or shape.get("Healthcheck") or shape["Config"].get("Healthcheck"))["Test"]
        if check[0] != "CMD":
            raise Wrong(f"{service} has no health check: {check}")
        self._store.podman("exec", self.name(service), *check[1:])

    def stop(self) -> None:
        """In the order of the flow. Raises when one did not end in order."""
        ended = {}
        for service in SERVICES:
            if service in self.started:
                self._store.podman("stop", "--time", str(STOP_SECONDS), self.name(service))
                ended[service] = json.loads(self._store.podman("inspect", self.name(service)))[0]["State"]["ExitCode"]
        if any(ended.values()):
            raise Wrong(f"exit codes after SIGTERM: {ended}")

    def remove(self) -> None:
        for service in self.started:
            self._store.podman("rm", "--force", "--time", "1", self.name(service))


async def play(store: Store, script: Script, speed: float, folder: Path) -> tuple[Report, dict[str, float]]:
    """The night through the images; what it was worth, and seconds from start to ready."""
    keys, begin = Keys.fresh(), time.time()
    config = folder / "firebreak.yaml"
    config.write_text(yaml.safe_dump(script.config.model_dump(mode="json", exclude_defaults=True), sort_keys=False))
    config.chmod(0o644)
    with ExitStack() as stack:
        console.print("starting Apache Kafka and PostgreSQL ...")
        kafka = stack.enter_context(LocalKafka())
        postgres = stack.enter_context(LocalPostgres())
        environment = {
            **keys.environment(),
            "FIREBREAK_LOG": "kafka",
            "FIREBREAK_KAFKA_BOOTSTRAP": kafka.bootstrap,
            "FIREBREAK_PARTITIONS": "4",
            "FIREBREAK_HOST": "127.0.0.1",
            "FIREBREAK_DATABASE": postgres.url,
            "FIREBREAK_CLOCK_BEGIN": repr(begin),
            "FIREBREAK_CLOCK_ORIGIN": repr(begin),
            "FIREBREAK_CLOCK_SPEED": repr(speed),
        }
        containers = Containers(store, config, environment)
        try:
            containers.once("ingest", "topics", "--create")
            for service in reversed(SERVICES):
                await containers.start(service)
                containers.check_health(service)
            report = await _night(script, ScaledClock(moment(begin), speed, begin), containers, keys)
            containers.stop()
        except BaseException:
            for service in containers.started:
                console.print(f"{service}:\n{containers.logs(service)}", markup=False)
            raise
        finally:
            containers.remove()
    return report, containers.started


async def _night(script: Script, clock: ScaledClock, containers: Containers, keys: Keys) -> Report:
    async with serving(sink := Sink(clock)) as sink_url:
        night = Night(script, script.seed, "images")
        player = Player(night, clock, containers.url("ingest"), containers.url("alerter"), keys, sink)
        sink.on_message = lambda message: show_message(message, player)
        try:
            await player.subscribe(sink_url)
            await play_live(player)
            await _idle([containers.url(service) for service in SERVICES])
            return player.report()
        finally:
            await player.close()


async def _idle(urls: Sequence[str]) -> None:
    """Until nobody has anything left to do, twice in a row."""
    calm = 0
    async with asyncio.timeout(60), httpx2.AsyncClient(timeout=5) as client:
        while calm < 2:
            answers = [(await client.get(f"{url}/idlez")).status_code for url in urls]
            calm = calm + 1 if set(answers) == {200} else 0
            await asyncio.sleep(0.1)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make images", description=__doc__)
    parser.add_argument("--pull", action="store_true", help="use the Dockerfile's own base image, from its registry")
    parser.add_argument("--speed", type=float, default=120.0, help="story seconds a second")
    parser.add_argument("--keep", type=Path, default=ROOT / "build" / "images", help="where the images are kept")
    asked = parser.parse_args()
    missing = [
        tool
        for tool in ("buildah", "podman", "runc")
        if shutil.which(tool, path=f"{os.environ['PATH']}:/usr/sbin") is None
    ]
    if missing:
        sys.exit(f"needs {', '.join(missing)}: apt-get install buildah podman runc debootstrap")
    store = Store(asked.keep)
    figures: dict[str, Any] = {"images": {}}
    try:
        if not asked.pull:
            make_base(store, asked.keep)
        for service in SERVICES:
            seconds = build(store, service, None if asked.pull else BASE)
            look_inside(store, service)
            components = bill_of(store, service)
            size = store.bytes_of(_image(service))
            own = None if asked.pull else size - store.bytes_of(BASE)
            figures["images"][service] = {
                "bytes": size,
                "bytes over the base": own,
                "built in seconds": round(seconds, 1),
                "components": components,
            }
        report, started = asyncio.run(play(store, load(DRILL), asked.speed, asked.keep))
    except Wrong as error:
        console.print(f"[red]wrong[/] {error}", markup=True)
        sys.exit(1)
    show_report(report)
    table = Table("image", "MB", "MB over the base", "built in s", "start to ready in s", title="Images")
    for service, one in figures["images"].items():
        one["start to ready in seconds"] = round(started[service], 2)
        own = one["bytes over the base"]
        row = (one["bytes"] / 1e6, None if own is None else own / 1e6, one["built in seconds"], started[service])
        table.add_row(service, *("" if value is None else f"{value:.1f}" for value in row))
    console.print(table)
    figures["verdicts"] = {verdict.what: verdict.ok for verdict in report.checks}
    (ROOT / "build").mkdir(exist_ok=True)
    (ROOT / "build" / "images.json").write_text(json.dumps(figures, indent=1) + "\n")
    sys.exit(0 if report.ok else 1)


if __name__ == "__main__":
    main()
