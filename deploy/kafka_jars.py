"""The jars of Apache Kafka, which Maven resolves once into a cache outside the checkout."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

VERSION: Final = "4.3.0"
POM: Final = Path(__file__).with_name("local_kafka.pom.xml")
RESOLVE_SECONDS: Final = 600.0


class KafkaUnavailable(Exception):
    """No broker can be had on this machine; the text says what was tried."""


def jars() -> Path:
    """The folder of jars, resolved by the first caller and shared by all that come after."""
    if shutil.which("java") is None:
        raise KafkaUnavailable("there is no java")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "firebreak"
    ready = cache / f"kafka-{VERSION}"
    if ready.is_dir():
        return ready
    if shutil.which("mvn") is None:
        raise KafkaUnavailable(f"there is no mvn to resolve the jars, and no {ready}")
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / f"kafka-{VERSION}.lock"):
        if ready.is_dir():
            return ready
        # Into a folder of its own, renamed when complete: what is there is whole, whenever this process dies.
        part = Path(tempfile.mkdtemp(prefix=f"kafka-{VERSION}.", dir=cache))
        try:
            command = [
                "mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies",
                "-DincludeScope=runtime", f"-DoutputDirectory={part}",
            ]  # fmt: skip
            done = subprocess.run(command, capture_output=True, text=True, timeout=RESOLVE_SECONDS, check=False)
            if done.returncode or not list(part.glob("kafka_*.jar")):
                raise KafkaUnavailable(f"Maven could not resolve the jars: {(done.stdout + done.stderr)[-800:]}")
            part.chmod(0o755)
            part.rename(ready)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
    return ready


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
