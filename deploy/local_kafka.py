"""A real Apache Kafka 4.3 (KRaft) on loopback, for tests and the demo: up in seconds, gone with the process that asked.

Looked for in this order: `KAFKA_BOOTSTRAP` (a cluster that is there already; nothing is started), the jars that Maven
resolves once into a cache outside the checkout, Docker. With none of them `start()` raises `KafkaUnavailable`.

Only processes started here are ever ended, each by its own pid. The data lives in a temporary directory and goes at
`stop()`; `kill` and `restart` keep it, so a broker may crash and come back on the same data and ports.

    with LocalKafka() as kafka: ...                    # kafka.bootstrap
    python -m deploy.local_kafka [--nodes 3]           # prints the bootstrap, runs until SIGTERM or Ctrl-C
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import socket
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Final

from deploy.kafka_jars import KafkaUnavailable, jars
from deploy.kafka_nodes import DockerNode, JavaNode, docker_works

__all__ = ["KafkaUnavailable", "LocalKafka"]

PORTS: Final = range(20_000, 32_000)


class LocalKafka:
    """One or three brokers (`nodes`), numbered from 0. Not safe for concurrent calls."""

    def __init__(self, nodes: int = 1) -> None:
        if nodes not in {1, 3}:
            raise ValueError(f"one node or three, not {nodes}")
        self._count = nodes
        self._dir: Path | None = None
        self._nodes: list[JavaNode | DockerNode] = []
        self._given = os.environ.get("KAFKA_BOOTSTRAP", "")

    @property
    def bootstrap(self) -> str:
        """host:port of every node, comma-separated."""
        if self._given:
            return self._given
        if not self._nodes:
            raise RuntimeError("start() it first")
        return ",".join(f"127.0.0.1:{node.port}" for node in self._nodes)

    @property
    def given(self) -> bool:
        """Whether the cluster was there before us (`KAFKA_BOOTSTRAP`): its nodes are not ours to kill."""
        return bool(self._given)

    @property
    def logs(self) -> list[Path]:
        return [node.log for node in self._nodes]

    def start(self) -> LocalKafka:
        if self._given or self._nodes:
            return self
        self._dir = Path(tempfile.mkdtemp(prefix="firebreak-kafka-"))
        try:
            self._nodes = self._build(self._dir)
            for node in self._nodes:
                node.start()
            for node in self._nodes:
                node.wait()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End every node and delete the data. Idempotent."""
        for node in self._nodes:
            node.end()
        self._nodes = []
        if self._dir is not None:
            shutil.rmtree(self._dir, ignore_errors=True)
            self._dir = None

    def kill(self, node: int = 0) -> None:
        """SIGKILL, as a power cut would."""
        self._own(node).kill()

    def pause(self, node: int = 0) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        self._own(node).freeze()

    def resume(self, node: int = 0) -> None:
        """SIGCONT."""
        self._own(node).thaw()

    def restart(self, node: int = 0) -> None:
        """Come back on the same data and ports; a node that still runs is ended in order first."""
        found = self._own(node)
        found.terminate()
        found.start()
        found.wait()

    def __enter__(self) -> LocalKafka:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def _own(self, node: int) -> JavaNode | DockerNode:
        if self._given:
            raise KafkaUnavailable("KAFKA_BOOTSTRAP names a cluster that was not started here; its nodes are not ours")
        return self._nodes[node]

    def _build(self, where: Path) -> list[JavaNode | DockerNode]:
        ports = _free_ports(self._count * 2)
        members = list(zip(ports[::2], ports[1::2], strict=True))
        tried = []
        try:
            found = jars()
            return [JavaNode(where, number, members, found) for number in range(self._count)]
        except KafkaUnavailable as error:
            tried.append(str(error))
        if docker_works():
            return [DockerNode(where, number, members) for number in range(self._count)]
        tried.append("`docker info` does not work")
        raise KafkaUnavailable("KAFKA_BOOTSTRAP is not set; " + "; ".join(tried))


def _free_ports(count: int) -> list[int]:
    """All held open at once, so that no two are the same.

    Below the range that the kernel gives to outgoing connections: while a broker is down, a client that tries again and
    again would otherwise one day be given the broker's own port, connect to itself, and keep the broker from coming back.
    """
    with contextlib.ExitStack() as stack:
        found: list[int] = []
        for port in random.sample(PORTS, len(PORTS)):
            one = stack.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                one.bind(("127.0.0.1", port))
                found.append(port)
            if len(found) == count:
                return found
    raise KafkaUnavailable(f"no free port in {PORTS}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Run a real Apache Kafka on loopback until SIGTERM or Ctrl-C.")
    parser.add_argument("--nodes", type=int, choices=(1, 3), default=1)
    options = parser.parse_args()
    # Raised wherever we are, the start included, so that the `with` below ends the brokers.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        with LocalKafka(options.nodes) as kafka:
            print(kafka.bootstrap, flush=True)
            while True:
                signal.pause()
    except KeyboardInterrupt:
        return 0
    except KafkaUnavailable as error:
        print(f"no Kafka: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
