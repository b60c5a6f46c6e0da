"""A real Kubernetes API server over a real etcd, for one test module: it admits and stores objects, and runs nothing.

No controller, scheduler or kubelet is there, so a Deployment makes no pods: a test that wants to know whether its pods would be
admitted creates one from the template. `make tools KUBERNETES=1` builds both programs; without them, or helm, its
tests are skipped.
"""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import httpx2
import yaml

from services.tools.drills.installation import free_port
from tests.deploy.tools import ROOT, find, run
from tests.patience import PATIENCE_SECONDS

CRDS: Final = ROOT / "tests" / "fixtures" / "kubernetes" / "crds.yaml"
TOKEN: Final = "of-this-run-alone"
NAMESPACE: Final = "brand-crisis"
"""Its pods have to keep to the standard `restricted`: see https://kubernetes.io/docs/concepts/security/pod-security-standards/"""


class Cluster:
    """The API as helm and as a client sees it."""

    def __init__(self, url: str, folder: Path) -> None:
        self._folder = folder
        trusted = ssl.create_default_context(cafile=folder / "certs" / "apiserver.crt")
        headers = {"authorization": f"Bearer {TOKEN}"}
        self._client = httpx2.Client(base_url=url, headers=headers, verify=trusted, timeout=30)
        self.kubeconfig = folder / "kubeconfig"
        self.kubeconfig.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "here",
                    "contexts": [
                        {"name": "here", "context": {"cluster": "here", "user": "us", "namespace": NAMESPACE}}
                    ],
                    "users": [{"name": "us", "user": {"token": TOKEN}}],
                    "clusters": [
                        {
                            "name": "here",
                            "cluster": {
                                "server": url,
                                "certificate-authority": str(folder / "certs" / "apiserver.crt"),
                            },
                        }
                    ],
                }
            )
        )

    def close(self) -> None:
        self._client.close()

    def call(self, method: str, path: str, body: Any = None, **query: str) -> httpx2.Response:
        return self._client.request(method, path, json=body, params=query)

    def apply(self, path: str, wanted: dict[str, Any]) -> httpx2.Response:
        """Server-side apply as a dry run, in which no field may be unknown."""
        query = {"dryRun": "All", "fieldManager": "tests", "fieldValidation": "Strict"}
        headers = {"content-type": "application/apply-patch+yaml"}
        return self._client.patch(path, content=json.dumps(wanted), params=query, headers=headers)

    def helm(self, *words: str | Path) -> str:
        # Without a home its caches would be laid into the checkout.
        home = {"PATH": os.environ["PATH"], "HOME": str(self._folder), "KUBECONFIG": str(self.kubeconfig)}
        return run(find("helm"), *words, cwd=ROOT, env=home)

    def all_of(self, group: str, plural: str) -> list[dict[str, Any]]:
        """The objects of that kind in our namespace; `group` is `v1`, or `apis/GROUP/VERSION`."""
        path = f"/{'api/v1' if group == 'v1' else group}/namespaces/{NAMESPACE}/{plural}"
        answer = self.call("GET", path)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["items"])

    def refuses_pod(self, workload: dict[str, Any], name: str) -> str | None:
        """What admission has against a pod of this workload, as its controller would make it; None if it takes it."""
        template = workload["spec"]["template"]
        pod = {
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {**template["metadata"], "name": name, "creationTimestamp": None}, "spec": template["spec"],
        }  # fmt: skip
        path = f"/api/v1/namespaces/{NAMESPACE}/pods"
        answer = self.call("POST", path, pod, dryRun="All", fieldValidation="Strict")
        return None if answer.status_code == 201 else str(answer.json()["message"])


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """Started with what helm and our chart ask for: the namespace, and the definitions of the kinds that others bring."""
    programs = find("etcd"), find("kube-apiserver"), find("openssl")
    find("helm")
    store, peers, port = (free_port() for _ in range(3))
    run(programs[2], "genrsa", "-out", folder / "accounts.key", "2048")
    (folder / "tokens.csv").write_text(f'{TOKEN},us,1,"system:masters"\n')
    here = f"http://127.0.0.1:{store}"
    there = f"http://127.0.0.1:{peers}"
    etcd = (
        *("--data-dir", folder / "etcd", "--listen-client-urls", here, "--advertise-client-urls", here),
        *("--listen-peer-urls", there, "--initial-advertise-peer-urls", there),
        *("--initial-cluster", f"default={there}", "--unsafe-no-fsync", "--log-level", "error"),
    )
    apiserver = (
        *("--etcd-servers", here, "--secure-port", port, "--bind-address", "127.0.0.1", "--cert-dir", folder / "certs"),
        *("--service-account-issuer", "https://kubernetes", "--service-account-key-file", folder / "accounts.key"),
        *("--service-account-signing-key-file", folder / "accounts.key", "--service-cluster-ip-range", "10.0.0.0/24"),
        *("--authorization-mode", "RBAC", "--token-auth-file", folder / "tokens.csv"),
        # Nobody makes the account that this plugin asks for; that is a controller's work.
        *("--disable-admission-plugins", "ServiceAccount"),
    )
    with ExitStack() as stack:
        stack.enter_context(_running(folder / "etcd.log", programs[0], *etcd))
        process = stack.enter_context(_running(folder / "apiserver.log", programs[1], *apiserver))
        until = time.monotonic() + PATIENCE_SECONDS
        while not _ready(port, folder):
            assert process.poll() is None, (folder / "apiserver.log").read_text()[-3000:]
            assert time.monotonic() < until, (folder / "apiserver.log").read_text()[-3000:]
            time.sleep(0.1)
        one = Cluster(f"https://127.0.0.1:{port}", folder)
        stack.callback(one.close)
        _furnish(one)
        yield one


@contextmanager
def _running(log: Path, *command: object) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out:
        process = subprocess.Popen([str(part) for part in command], stdout=out, stderr=out)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _ready(port: int, folder: Path) -> bool:
    certificate = folder / "certs" / "apiserver.crt"
    if not certificate.exists():
        return False
    try:
        headers = {"authorization": f"Bearer {TOKEN}"}
        url = f"https://127.0.0.1:{port}/readyz"
        return (
            httpx2.get(
                url, headers=headers, verify=ssl.create_default_context(cafile=certificate), timeout=5
            ).status_code
            == 200
        )
    except (httpx2.TransportError, OSError):
        return False


def _furnish(one: Cluster) -> None:
    labels = {
        "pod-security.kubernetes.io/enforce": "restricted",
        "pod-security.kubernetes.io/enforce-version": "latest",
    }
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}
    assert one.call("POST", "/api/v1/namespaces", namespace).status_code == 201
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    names = []
    for definition in yaml.safe_load_all(CRDS.read_text()):
        answer = one.call("POST", path, definition)
        assert answer.status_code == 201, answer.text
        names.append(definition["metadata"]["name"])
    until = time.monotonic() + PATIENCE_SECONDS
    while not all(_established(one.call("GET", f"{path}/{name}").json()) for name in names):
        assert time.monotonic() < until
        time.sleep(0.1)


def _established(definition: dict[str, Any]) -> bool:
    stated = definition.get("status", {}).get("conditions", ())
    return any(one["type"] == "Established" and one["status"] == "True" for one in stated)
