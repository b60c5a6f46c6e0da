"""One Kafka broker and controller: a Java process of ours, or a container with the same settings.

Only what was started here is ever ended, and a watchdog ends it when this process dies without a word.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from deploy.kafka_jars import RESOLVE_SECONDS, VERSION, KafkaUnavailable

IMAGE: Final = f"apache/kafka:{VERSION}"
# Any 16 bytes in base64 will do; a fixed one lets a node come back on the data it left.
CLUSTER_ID: Final = "ZmlyZWJyZWFrLWxvY2FsMQ"
# Up in about 2 s alone; a loaded two-core machine with three nodes took 15.
START_SECONDS: Final = 90.0
# Little memory, quick to start: the just-in-time compiler's last stage costs more here than it gives back.
JAVA: Final = ("java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true")


class JavaNode:
    """One broker and controller in a process of its own."""

    def __init__(self, where: Path, number: int, members: list[tuple[int, int]], jars: Path) -> None:
        self.port = members[number][0]
        self._home = where / f"node{number}"
        self._home.mkdir()
        self.log = self._home / "server.log"
        self._config = self._home / "server.properties"
        lines = _properties(number, members, str(self._home / "data"), "127.0.0.1")
        self._config.write_text("\n".join(f"{key}={value}" for key, value in lines.items()) + "\n")
        # The jars bring no binding for slf4j, so a broker that is well says nothing; what ends it goes to stderr.
        self._java = [*JAVA, "-cp", f"{jars}/*"]
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        if not (self._home / "data" / "meta.properties").exists():
            self._format()
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                [*self._java, "kafka.Kafka", str(self._config)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=self._home,
                # A session of its own: Ctrl-C in a terminal reaches the tests, and they end the broker in order.
                start_new_session=True,
            )
        self._watchdog = _watchdog(self._process.pid)

    def wait(self) -> None:
        _wait_for_answer(self.port, self._exited)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def freeze(self) -> None:
        self._running().send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._running().send_signal(signal.SIGCONT)

    def terminate(self) -> None:
        self._signal(signal.SIGTERM)

    def end(self) -> None:
        # The data is deleted next, so there is nothing that an orderly end would save; a frozen one dies of it too.
        self.kill()

    def _signal(self, what: signal.Signals) -> None:
        process, self._process = self._process, None
        watchdog, self._watchdog = self._watchdog, None
        if process is None:
            return
        # The watchdog first: while its broker is not reaped, the number it would kill cannot become somebody else's.
        if watchdog is not None:
            watchdog.kill()
            watchdog.wait(10)
            if watchdog.stdin is not None:
                watchdog.stdin.close()
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.send_signal(what)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("this node does not run")
        return self._process

    def _exited(self) -> str | None:
        if self._process is None or self._process.poll() is None:
            return None
        return f"it ended with {self._process.returncode}:\n{self.log.read_text(errors='replace')[-2000:]}"

    def _format(self) -> None:
        command = [*self._java, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(self._config)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=START_SECONDS, check=False)
        if done.returncode:
            raise KafkaUnavailable(
                f"formatting the data directory failed: {done.stderr[-1000:] or done.stdout[-1000:]}"
            )


class DockerNode:
    """One broker in a container on the host's network, the same settings by environment."""

    def __init__(self, where: Path, number: int, members: list[tuple[int, int]]) -> None:
        self.port = members[number][0]
        self._home = where / f"node{number}"
        self._home.mkdir()
        self.log = self._home / "server.log"
        self._name = f"firebreak-kafka-{os.getpid()}-{self.port}"
        self._settings = _properties(number, members, "/tmp/kraft-combined-logs", "127.0.0.1")  # noqa: S108 - inside it
        self._created = False

    def start(self) -> None:
        if self._created:
            self._docker("start", self._name)
            return
        env = [f"KAFKA_{key.upper().replace('.', '_')}={value}" for key, value in self._settings.items()]
        flags = [
            part for line in [*env, f"CLUSTER_ID={CLUSTER_ID}", "KAFKA_HEAP_OPTS=-Xmx512m"] for part in ("-e", line)
        ]
        # --rm goes with `docker rm -f` below; the watchdog ends it when this process dies without a word.
        self._docker("run", "-d", "--network", "host", "--name", self._name, *flags, IMAGE)
        self._created = True
        watch = f"while kill -0 {os.getpid()} 2>/dev/null; do sleep 1; done; docker rm -f {self._name}"
        subprocess.Popen(
            ["sh", "-c", watch], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip

    def wait(self) -> None:
        _wait_for_answer(self.port, lambda: None)

    def kill(self) -> None:
        self._docker("kill", self._name)

    def freeze(self) -> None:
        self._docker("pause", self._name)

    def thaw(self) -> None:
        self._docker("unpause", self._name)

    def terminate(self) -> None:
        self._docker("stop", "-t", "30", self._name)

    def end(self) -> None:
        if self._created:
            with contextlib.suppress(KafkaUnavailable):
                self._docker("rm", "-f", self._name)

    def _docker(self, *args: str) -> None:
        done = subprocess.run(["docker", *args], capture_output=True, text=True, timeout=RESOLVE_SECONDS, check=False)
        if done.returncode:
            raise KafkaUnavailable(f"docker {args[0]} failed: {done.stderr[-500:]}")


def _properties(number: int, members: list[tuple[int, int]], data: str, host: str) -> dict[str, str]:
    replicas = str(len(members))
    in_sync = "2" if len(members) >= 3 else "1"
    broker, controller = members[number]
    return {
        "process.roles": "broker,controller",
        "node.id": str(number),
        "controller.quorum.voters": ",".join(f"{n}@{host}:{port}" for n, (_, port) in enumerate(members)),
        "listeners": f"PLAINTEXT://{host}:{broker},CONTROLLER://{host}:{controller}",
        "advertised.listeners": f"PLAINTEXT://{host}:{broker}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": data,
        # A topic that a typing error made is worse than an error.
        "auto.create.topics.enable": "false",
        "default.replication.factor": replicas,
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": replicas,
        "offsets.topic.num.partitions": "3",
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": in_sync,
        "transaction.state.log.num.partitions": "3",
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": in_sync,
        # Tests join and leave all the time; the default waits 3 s for more members to come.
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "1000",
        # The broker looks for timed-out transactions only this often (default 10 s); faults are felt sooner.
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
        "num.network.threads": "2",
        "num.io.threads": "4",
        # A killed node may register again only when its old session is over (default 9 s).
        "broker.heartbeat.interval.ms": "500",
        "broker.session.timeout.ms": "3000",
        "log.cleaner.threads": "1",
        "log.cleaner.dedupe.buffer.size": "16777216",
    }


def _watchdog(pid: int) -> subprocess.Popen[bytes]:
    """Ends `pid` when this process is gone, however it went: the pipe that only we hold is then closed.

    The kernel's own signal at a parent's death would not do. It comes at the death of the *thread* that started the
    child, and a broker restarted from a worker thread went with the thread pool.
    """
    wait = 'read _; kill -9 "$1"'
    return subprocess.Popen(["sh", "-c", wait, "sh", str(pid)], stdin=subprocess.PIPE, start_new_session=True)


def docker_works() -> bool:
    if shutil.which("docker") is None:
        return False
    try:
        return subprocess.run(["docker", "info"], capture_output=True, timeout=20, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def answers(port: int) -> bool:
    """Whether the broker answers an ApiVersions request: the port is open some time before it does."""
    ask = struct.pack(">hhih", 18, 0, 1, -1)
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=2) as one:
        one.sendall(struct.pack(">i", len(ask)) + ask)
        return len(one.recv(4)) == 4
    return False


def _wait_for_answer(port: int, exited: Callable[[], str | None]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if answers(port):
            return
        if why := exited():
            raise KafkaUnavailable(f"the broker did not start: {why}")
        time.sleep(0.05)
    raise KafkaUnavailable(f"the broker did not answer on {port} within {START_SECONDS:.0f} s")
