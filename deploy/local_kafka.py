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
import fcntl
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Final

VERSION: Final = "4.3.0"
IMAGE: Final = f"apache/kafka:{VERSION}"
POM: Final = Path(__file__).with_name("local_kafka.pom.xml")
# Any 16 bytes in base64 will do; a fixed one lets a node come back on the data it left.
CLUSTER_ID: Final = "ZmlyZWJyZWFrLWxvY2FsMQ"
# Up in about 2 s alone; a loaded two-core machine with three nodes took 15.
START_SECONDS: Final = 90.0
RESOLVE_SECONDS: Final = 600.0
PORTS: Final = range(20_000, 32_000)
# Little memory, quick to start: the just-in-time compiler's last stage costs more here than it gives back.
JAVA: Final = ("java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true")


class KafkaUnavailable(Exception):
    """No broker can be had on this machine; the text says what was tried."""


class LocalKafka:
    """One or three brokers (`nodes`), numbered from 0. Not safe for concurrent calls."""

    def __init__(self, nodes: int = 1) -> None:
        if nodes not in {1, 3}:
            raise ValueError(f"one node or three, not {nodes}")
        self._count = nodes
        self._dir: Path | None = None
        self._nodes: list[_JavaNode | _DockerNode] = []
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

    def _own(self, node: int) -> _JavaNode | _DockerNode:
        if self._given:
            raise KafkaUnavailable("KAFKA_BOOTSTRAP names a cluster that was not started here; its nodes are not ours")
        return self._nodes[node]

    def _build(self, where: Path) -> list[_JavaNode | _DockerNode]:
        ports = _free_ports(self._count * 2)
        members = list(zip(ports[::2], ports[1::2], strict=True))
        tried = []
        try:
            jars = _jars()
            return [_JavaNode(where, number, members, jars) for number in range(self._count)]
        except KafkaUnavailable as error:
            tried.append(str(error))
        if _docker_works():
            return [_DockerNode(where, number, members) for number in range(self._count)]
        tried.append("`docker info` does not work")
        raise KafkaUnavailable("KAFKA_BOOTSTRAP is not set; " + "; ".join(tried))


class _JavaNode:
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


class _DockerNode:
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


def _jars() -> Path:
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


def _docker_works() -> bool:
    if shutil.which("docker") is None:
        return False
    try:
        return subprocess.run(["docker", "info"], capture_output=True, timeout=20, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


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


def _answers(port: int) -> bool:
    """Whether the broker answers an ApiVersions request: the port is open some time before it does."""
    ask = struct.pack(">hhih", 18, 0, 1, -1)
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=2) as one:
        one.sendall(struct.pack(">i", len(ask)) + ask)
        return len(one.recv(4)) == 4
    return False


def _wait_for_answer(port: int, exited: Callable[[], str | None]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if _answers(port):
            return
        if why := exited():
            raise KafkaUnavailable(f"the broker did not start: {why}")
        time.sleep(0.05)
    raise KafkaUnavailable(f"the broker did not answer on {port} within {START_SECONDS:.0f} s")


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
