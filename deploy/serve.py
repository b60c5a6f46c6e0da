"""Behind `make serve`: `firebreak serve` with deploy/firebreak.yaml, over SQLite or over a Kafka that it starts."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from contextlib import ExitStack

from deploy.local_kafka import LocalKafka
from services.tools.shipped import EXAMPLE


def main() -> None:
    parser = argparse.ArgumentParser(prog="make serve", description=__doc__)
    parser.add_argument("--log", choices=["sqlite", "kafka"], default="sqlite")
    asked = parser.parse_args()
    environment = {"FIREBREAK_CONFIG": str(EXAMPLE), **os.environ, "FIREBREAK_LOG": asked.log}
    with ExitStack() as stack:
        if asked.log == "kafka":
            environment["FIREBREAK_KAFKA_BOOTSTRAP"] = stack.enter_context(LocalKafka()).bootstrap
        process = subprocess.Popen([sys.executable, "-m", "services", "serve"], env=environment)
        # Whoever ends this means the services; Ctrl-C reaches them by itself.
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        try:
            code = process.wait()
        except KeyboardInterrupt:
            code = process.wait()
    raise SystemExit(code)


if __name__ == "__main__":
    main()
