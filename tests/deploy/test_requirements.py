"""What the images install is what was tested, file by file: the same versions as in constraints.txt, each with its hashes."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Final

import pytest

from deploy.requirements import canonical, pinned
from services.runtime.registry import SERVICES
from tests.deploy.tools import DEPLOY, ROOT

CONSTRAINTS: Final = {
    canonical(line.partition("==")[0]) + "==" + line.partition("==")[2].strip()
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if line and not line.startswith("#")
}
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FILES: Final = (*SERVICES, "build")


def needed(service: str) -> set[str]:
    wanted = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"][service]]
    return {canonical(re.split(r"[\[<>=;~! ]", one)[0]) for one in wanted}


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_installs_what_its_service_needs_in_the_versions_that_were_tested(service: str) -> None:
    pins = pinned(service)
    assert pins.keys() <= CONSTRAINTS, "run: make requirements"
    assert needed(service) <= {pin.partition("==")[0] for pin in pins}, "run: make requirements"


@pytest.mark.parametrize("name", FILES)
def test_every_package_has_the_hash_of_every_file_and_no_address(name: str) -> None:
    pins = pinned(name)
    assert len(pins) > 10
    assert all(pins.values())
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    assert len(pins) == len(re.findall(r"^[a-zA-Z]", text, re.MULTILINE)), "each line is a package that was read"
    assert "://" not in text
    assert not re.search(r"^-", text, re.MULTILINE)


def test_the_versions_that_build_do_not_contradict_those_that_were_tested() -> None:
    tested = dict(pin.split("==") for pin in CONSTRAINTS)
    for pin in pinned("build"):
        name, version = pin.split("==")
        assert tested.get(name, version) == version


def test_the_images_take_nothing_from_an_index_but_by_its_hash() -> None:
    commands = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    installs = re.findall(r"pip\S*(?: --python \S+)? (?:install|wheel) [^&\n]*", commands)
    assert len(installs) == 2 + 2 * len(SERVICES)
    for one in installs:
        assert "--require-hashes --requirement requirements/" in one or "--no-deps" in one, one
        assert " wheel " not in one or "--no-build-isolation" in one, "or the build's own needs come without hashes"


def test_every_image_brings_its_bill_of_materials() -> None:
    commands = (DEPLOY / "Dockerfile").read_text()
    for service in SERVICES:
        stage = commands.split(f"AS {service}-built")[1].split("\nFROM")[0]
        assert "cyclonedx-py environment" in stage
        assert stage.index("rm -rf") < stage.index("cyclonedx-py"), "of what is left"
    assert "/opt/firebreak/sbom.cdx.json" in (ROOT / "docs" / "security.md").read_text()


def test_folders_that_the_build_copies_are_let_through() -> None:
    let = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    names = {name for line in copied for name in line.split()}
    assert not {name for name in names if not {name, *map(str, Path(name).parents)} & let}
