"""Behind `make requirements` and `make audit`: `requirements/*.txt` say what each image installs, with the SHA-256 of each file
that pip may take for it. The versions are those of `constraints.txt`; no address stands in them.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

from services.runtime.registry import SERVICES

ROOT: Final = Path(__file__).parents[1]
PYTHON: Final = "3.11"
"""The Python of the images."""
QUIETLY: Final = ("--no-emit-index-url", "--no-emit-find-links", "--no-header", "--no-annotate", "--quiet")
HEAD: Final = "# Written by `make requirements` from pyproject.toml and constraints.txt.\n"


def canonical(name: str) -> str:
    """Returns the name of a package in the one spelling that all others stand for."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned(name: str) -> dict[str, list[str]]:
    """Returns what `requirements/{name}.txt` pins, as `package==version`, with the hashes of each."""
    found: dict[str, list[str]] = {}
    for block in re.split(r"\n(?=\S)", (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")):
        pin = re.match(r"([\w.-]+)(?:\[[\w,-]+\])?==([^\s;\\]+)", block)
        if pin is not None:
            found[f"{canonical(pin[1])}=={pin[2]}"] = re.findall(r"--hash=sha256:([0-9a-f]{64})", block)
    return found


def tool(name: str) -> str:
    """Returns the path of a program that is installed for this alone: it is no part of the product's environment."""
    home = ROOT / "build" / "pins"
    if not (home / "bin" / name).exists():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        subprocess.run([str(home / "bin" / "pip"), "install", "--quiet", "pip-audit", "uv"], check=True)
    return str(home / "bin" / name)


def write() -> None:
    """Write all files anew."""
    folder = ROOT / "requirements"
    sources = {"build": (str(folder / "build.in"),)} | {
        service: ("pyproject.toml", "--extra", service) for service in SERVICES
    }
    for name, source in sources.items():
        out = folder / f"{name}.txt"
        how = ("--constraint", "constraints.txt", "--generate-hashes", "--python-version", PYTHON, *QUIETLY)
        command = (tool("uv"), "pip", "compile", *source, *how, "--output-file", str(out))
        subprocess.run(command, cwd=ROOT, check=True)
        out.write_text(HEAD + out.read_text(encoding="utf-8").removeprefix(HEAD), encoding="utf-8")


def audit() -> bool:
    """Ask for known vulnerabilities. Returns True if there are none; a package that cannot be asked about is not well."""
    well = True
    for name in ("build", *SERVICES):
        file = str(ROOT / "requirements" / f"{name}.txt")
        how = ("--strict", "--disable-pip", "--require-hashes", "--requirement", file)
        well = not subprocess.run([tool("pip-audit"), *how], check=False).returncode and well
    return well


if __name__ == "__main__":
    if sys.argv[1:] == ["write"]:
        write()
    elif sys.argv[1:] == ["audit"]:
        sys.exit(0 if audit() else 1)
    else:
        sys.exit("write or audit?")
