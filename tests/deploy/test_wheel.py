"""The wheel is a way in: built, installed into a fresh environment far from the checkout, and the README is played from there.

Nothing of the checkout and nothing of this environment is lent: what the extra `all` does not name is not there.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import venv
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx2
import pytest

from services.tools.drills.installation import free_port
from tests.deploy.test_docs import blocks
from tests.deploy.tools import DEPLOY, ROOT, find, run
from tests.patience import PATIENCE_SECONDS

PACKAGES: Final = ("services", "ingest", "scorer", "alerter")
SHIPPED: Final = "services/tools/shipped_files"


@dataclass(frozen=True)
class Elsewhere:
    """A folder far from the checkout, and the environment with the wheel in it."""

    bin: Path
    folder: Path
    wheel: Path

    def environment(self, **settings: str) -> dict[str, str]:
        return {
            "PATH": f"{self.bin}:{os.environ['PATH']}", "HOME": str(self.folder), "LANG": "C.UTF-8", "COLUMNS": "160",
            "NO_COLOR": "1", "TERM": "dumb", **settings,
        }  # fmt: skip

    def firebreak(self, *words: str, **settings: str) -> str:
        return run(self.bin / "firebreak", *words, cwd=self.folder, env=self.environment(**settings))

    @contextmanager
    def running(self, command: str, out: Path, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
        with out.open("wb") as said:
            process = subprocess.Popen(
                [find("bash"), "-c", f"exec {command}"], cwd=self.folder, env=self.environment(**settings),
                stdout=said, stderr=said,
            )  # fmt: skip
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE_SECONDS)


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Elsewhere:
    place = tmp_path_factory.mktemp("elsewhere")
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    pinned = {**os.environ, "PIP_CONSTRAINT": str(ROOT / "constraints.txt")}
    run(*pip, "wheel", "--no-deps", "--wheel-dir", place, ROOT, env=pinned, seconds=300)
    (wheel,) = place.glob("firebreak-*.whl")
    venv.create(place / "env", with_pip=False, symlinks=True)
    python = place / "env" / "bin" / "python"
    run(*pip, "--python", python, "install", "--no-compile", f"{wheel}[all]", env=pinned, seconds=600)
    # A folder of somebody's own may have such a name.
    decoy = place / "work" / "services"
    decoy.mkdir(parents=True)
    (decoy / "__init__.py").write_text("raise RuntimeError('this is somebody else')\n")
    return Elsewhere(place / "env" / "bin", decoy.parent, wheel)


def wait_for(pattern: str, file: Path) -> re.Match[str]:
    """The first place where the pattern stands in the file, once it does."""
    until = time.monotonic() + PATIENCE_SECONDS
    while (found := re.search(pattern, file.read_text())) is None:
        assert time.monotonic() < until, f"{pattern} never came in:\n{file.read_text()}"
        time.sleep(0.05)
    return found


def test_every_file_of_the_code_and_what_people_start_from_travels_in_the_wheel(elsewhere: Elsewhere) -> None:
    files = {
        path.relative_to(ROOT).as_posix(): path
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    files |= {f"{SHIPPED}/drills/{path.name}": path for path in (DEPLOY / "drills").glob("*.yaml")}
    files[f"{SHIPPED}/firebreak.yaml"] = DEPLOY / "firebreak.yaml"
    with zipfile.ZipFile(elsewhere.wheel) as packed:
        inside = {name for name in packed.namelist() if ".dist-info/" not in name}
        assert inside == files.keys()
        for name, path in files.items():
            assert packed.read(name) == path.read_bytes(), name
    for kind in (".onnx", ".html", ".css", ".js", ".txt", ".json", ".yaml"):
        assert any(name.endswith(kind) for name in inside), f"no {kind} travels: look whether it is still needed"


def test_nothing_of_the_checkout_is_lent_to_the_wheel(elsewhere: Elsewhere) -> None:
    asked = "import services, ingest, scorer, alerter as a; print(*(m.__file__ for m in (services, ingest, scorer, a)))"
    python = elsewhere.bin / "python"
    for where in run(python, "-P", "-c", asked, cwd=elsewhere.folder, env=elsewhere.environment()).split():
        assert Path(where).is_relative_to(elsewhere.bin.parent)


def test_the_readmes_tour_is_played_from_the_wheel(elsewhere: Elsewhere, tmp_path: Path) -> None:
    find("curl")
    readme = ROOT / "README.md"
    (way,) = (block for block in blocks(readme, "") if "firebreak init" in block)
    steps = re.findall(r"^(firebreak \w+)", way, re.MULTILINE)
    assert steps == ["firebreak demo", "firebreak init", "firebreak serve"]
    assert elsewhere.wheel.name in way

    # What `init` wrote is what `doctor` and `serve` read; and nobody's file is written over.
    said = elsewhere.firebreak("init")
    assert (elsewhere.folder / "firebreak.yaml").read_text() == (DEPLOY / "firebreak.yaml").read_text()
    for command in re.findall(r"^  \d\. (firebreak doctor)", said, re.MULTILINE):
        elsewhere.firebreak(*command.split()[1:], FIREBREAK_API_KEYS="me:" + "k" * 24, FIREBREAK_ADMIN_KEY="a" * 24)
    mine = (elsewhere.folder / "firebreak.yaml").read_text() + "# mine\n"
    (elsewhere.folder / "firebreak.yaml").write_text(mine)
    with pytest.raises(AssertionError, match="left as it is"):
        elsewhere.firebreak("init")
    assert (elsewhere.folder / "firebreak.yaml").read_text() == mine

    (tour,) = (block for block in blocks(readme, "") if "make serve" in block)
    endpoint, post = re.findall(r"^curl .*?'\{.*?\}'", tour, re.MULTILINE | re.DOTALL)
    (sink,) = re.findall(r"^\.venv/bin/(firebreak sink .*?)\s+#", tour, re.MULTILINE)
    port, sink_port = free_port(), free_port()

    def curl(command: str, keys: dict[str, str]) -> str:
        there = command.replace("localhost:8080", f"127.0.0.1:{port}").replace(
            "127.0.0.1:9090", f"127.0.0.1:{sink_port}"
        )
        return run("bash", "-c", there, cwd=elsewhere.folder, env=elsewhere.environment(**keys))

    served = tmp_path / "serve.log"
    with elsewhere.running("firebreak serve", served, FIREBREAK_PORT=str(port)) as process:
        keys = {
            name: wait_for(rf"{words} +Authorization: Bearer (\S+)", served)[1]
            for name, words in {"KEY": "post with", "ADMIN": "administrate with"}.items()
        }
        url = f"http://127.0.0.1:{port}"
        until = time.monotonic() + PATIENCE_SECONDS
        while not _ready(url):
            assert process.poll() is None, served.read_text()
            assert time.monotonic() < until, served.read_text()
            time.sleep(0.1)
        secret = re.search(r"whsec_[\w+/=]+", curl(endpoint, keys))
        assert secret is not None
        told = tmp_path / "sink.log"
        heard = f"{sink.replace('whsec_...', secret[0])} --port {sink_port}"
        with elsewhere.running(heard, told):
            while not _listens(sink_port):
                time.sleep(0.05)
            assert "accepted" in curl(post, keys)
            wait_for(r"verified front-desk", told)
            wait_for(r'"type": "incident\.opened"', told)
        _console_has_its_pages_and_pictures(url)
        incidents = httpx2.get(f"{url}/v1/incidents", headers={"authorization": f"Bearer {keys['ADMIN']}"}).json()[
            "items"
        ]
        assert [one["brand"] for one in incidents] == ["acme-air"]
        explained = elsewhere.firebreak("explain", incidents[0]["id"], "--url", url, FIREBREAK_ADMIN_KEY=keys["ADMIN"])
        assert "smoke in the cabin" in explained
    assert process.returncode == 0, served.read_text()
    assert (elsewhere.folder / "var" / "log.db").is_file()


def test_drills_that_ship_are_found_by_name_from_anywhere(elsewhere: Elsewhere) -> None:
    asked = (
        "import sys; from pathlib import Path; from services.tools.drills.script import load; load(Path(sys.argv[1]))"
    )
    for name in ("demo", "demo.yaml", "deploy/drills/12-the-giveaway.yaml", "./12-the-giveaway"):
        run(elsewhere.bin / "python", "-P", "-c", asked, name, cwd=elsewhere.folder, env=elsewhere.environment())
    with pytest.raises(AssertionError, match=r"no drill of that name ships: .*\bdemo\b"):
        elsewhere.firebreak("drill", "deploy/drills/of-my-own.yaml", "--manual")


def test_the_demo_plays_in_a_process_of_its_own(elsewhere: Elsewhere) -> None:
    """At a speed at which nobody could say whether the pages came in time: that is for `tests/e2e/test_drills.py`."""
    done = subprocess.run(
        [elsewhere.bin / "firebreak", "demo", "--speed", "600"], cwd=elsewhere.folder, env=elsewhere.environment(),
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    assert "verified incident.opened" in done.stdout, done.stdout
    assert "paged in time" in done.stdout


def _ready(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/readyz", timeout=5).status_code == 200
    except httpx2.TransportError:
        return False


def _listens(port: int) -> bool:
    try:
        httpx2.get(f"http://127.0.0.1:{port}/", timeout=5)
    except httpx2.TransportError:
        return False
    return True


def _console_has_its_pages_and_pictures(url: str) -> None:
    with httpx2.Client(base_url=url, follow_redirects=True) as visitor:
        page = visitor.get("/console")
        assert page.status_code == 200
        files = re.findall(r'(?:href|src)="(/console/static/[^"]+)"', page.text)
        assert files, page.text
        for file in files:
            assert visitor.get(file).status_code == 200, file
        assert visitor.get("/docs").status_code == 200
