"""Behind `make serve`: all services with deploy/firebreak.yaml until Ctrl-C. Keys that are not set are made once, shown at
every start, and kept beside the data, where only their owner can read them."""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from deploy.local_kafka import LocalKafka

CONFIG = Path(__file__).with_name("firebreak.yaml")


def kept_key(path: Path) -> str:
    """Returns the key in `path`. Makes both if they are not there: whoever signed in stays so across a restart."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        path.chmod(0o600)
        if key := path.read_text(encoding="ascii").strip():
            return key
        made = os.open(path, os.O_WRONLY | os.O_TRUNC)  # the first start ended before it had written
    with os.fdopen(made, "w", encoding="ascii") as file:
        file.write((key := secrets.token_urlsafe(24)) + "\n")
    return key


def main() -> None:
    parser = argparse.ArgumentParser(prog="make serve", description=__doc__)
    parser.add_argument("--log", choices=["sqlite", "kafka"], default="sqlite")
    asked = parser.parse_args()
    environment = {"FIREBREAK_CONFIG": str(CONFIG), **os.environ, "FIREBREAK_LOG": asked.log}
    data = Path(environment.get("FIREBREAK_DATA", "var"))
    if "FIREBREAK_API_KEYS" not in environment:
        environment["FIREBREAK_API_KEYS"] = f"me:{kept_key(data / 'post.key')}"
        print(f"post with        Authorization: Bearer {environment['FIREBREAK_API_KEYS'].removeprefix('me:')}")
    if "FIREBREAK_ADMIN_KEY" not in environment:
        environment["FIREBREAK_ADMIN_KEY"] = kept_key(data / "admin.key")
        print(f"administrate with Authorization: Bearer {environment['FIREBREAK_ADMIN_KEY']}")
    environment.setdefault("FIREBREAK_EGRESS_ALLOW", "127.0.0.0/8")
    address = f"http://127.0.0.1:{environment.get('FIREBREAK_PORT', '8080')}"
    print(f"the console is at {address}/console (sign in with the second key)")
    print(f"the API is described at {address}/docs", flush=True)
    with ExitStack() as stack:
        if asked.log == "kafka":
            environment["FIREBREAK_KAFKA_BOOTSTRAP"] = stack.enter_context(LocalKafka()).bootstrap
        process = subprocess.Popen([sys.executable, "-m", "services", "run"], env=environment)
        # Whoever ends this means the services; Ctrl-C reaches them by itself.
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        try:
            code = process.wait()
        except KeyboardInterrupt:
            code = process.wait()
    raise SystemExit(code)


if __name__ == "__main__":
    main()
