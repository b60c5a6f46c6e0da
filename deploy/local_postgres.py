"""A real PostgreSQL on loopback with a password, for trying the images: up in seconds, gone with its `with` block.

The binaries are the machine's own, or those that `pgserver` brings. Raises `PostgresUnavailable` where there are none.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Final

from services.tools.drills.installation import free_port

NOBODY: Final = 65534
"""PostgreSQL refuses to run as root."""
START_SECONDS: Final = 60


class PostgresUnavailable(Exception):
    """No server can be had on this machine; the text says what was tried."""


class LocalPostgres:
    def __init__(self) -> None:
        self._bin = _binaries()
        self._folder = Path(tempfile.mkdtemp(prefix="firebreak-postgres-"))
        self._port = free_port()
        self._password = secrets.token_urlsafe(18)
        self._user = NOBODY if os.geteuid() == 0 else None

    @property
    def url(self) -> str:
        """SQLAlchemy's, with the password in it."""
        return f"postgresql+psycopg://firebreak:{self._password}@127.0.0.1:{self._port}/postgres"

    def __enter__(self) -> LocalPostgres:
        if self._user is not None:
            os.chown(self._folder, self._user, self._user)
        data, word = self._folder / "data", self._folder / "password"
        word.write_text(self._password)
        word.chmod(0o644)
        try:
            self._run(
                "initdb",
                f"--pgdata={data}",
                "--username=firebreak",
                f"--pwfile={word}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
            )
            word.unlink()
            options = f"-h 127.0.0.1 -p {self._port} -k {self._folder}"
            self._run(
                "pg_ctl",
                "start",
                "-w",
                "-t",
                str(START_SECONDS),
                "-D",
                str(data),
                "-l",
                str(self._folder / "log"),
                "-o",
                options,
            )
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            self._run("pg_ctl", "stop", "-m", "fast", "-D", str(self._folder / "data"))
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._bin / program, *arguments],
            user=self._user, cwd=self._folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=(self._folder / "stderr").open("wb"), timeout=START_SECONDS + 10, check=False,
        )  # fmt: skip
        if done.returncode:
            said = (self._folder / "stderr").read_text(errors="replace")[-800:]
            raise PostgresUnavailable(f"{program} ended with {done.returncode}: {said}")


def _binaries() -> Path:
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if (spec := find_spec("pgserver")) is not None and spec.origin is not None:
        places.append(Path(spec.origin).parent / "pginstall" / "bin")
    for place in places:
        if (place / "pg_ctl").exists() and (place / "postgres").exists():
            return place
    raise PostgresUnavailable("neither Debian's postgresql nor PyPI's pgserver is installed")
