"""The demo behind `make run`: plays deploy/drills/demo.yaml through the real thing, on SQLite or on a Kafka that it starts."""

from __future__ import annotations

import argparse
import os
from contextlib import ExitStack

from deploy.local_kafka import LocalKafka
from services.base.settings import Settings
from services.tools.drills.show import play
from services.tools.shipped import DEMO


def main() -> None:
    parser = argparse.ArgumentParser(prog="make run", description=__doc__)
    parser.add_argument("--log", choices=["sqlite", "kafka"], default="sqlite")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--speed", type=float, default=60.0)
    parser.add_argument("--chaos", action="store_true", help="kill the scorer in the middle")
    asked = parser.parse_args()
    with ExitStack() as stack:
        settings = Settings(log=asked.log)
        if asked.log == "kafka":
            print("starting Apache Kafka (the first time its jars are fetched) ...", flush=True)
            kafka = stack.enter_context(LocalKafka())
            settings = settings.model_copy(update={"kafka_bootstrap": kafka.bootstrap})
        ok = play(
            DEMO,
            settings,
            seed=asked.seed,
            speed=asked.speed,
            manual=False,
            against=None,
            sink_host="127.0.0.1",
            chaos=asked.chaos,
        )
    raise SystemExit(0 if ok else 1)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    main()
