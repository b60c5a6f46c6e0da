"""The address is pinned, and the certificate is still checked against the name in the URL."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from alerter.notify.http import HttpSender, Request
from alerter.states import AttemptOutcome
from services.base import egress


async def loopback(_host: str, _port: int) -> Sequence[str]:
    return ["127.0.0.1"]


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[int]:
    """A server whose certificate is for `hooks.example` alone."""
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    command += ["-subj", "/CN=hooks.example", "-addext", "subjectAltName=DNS:hooks.example"]
    made = await asyncio.to_thread(
        subprocess.run, [*command, "-keyout", str(key), "-out", str(certificate)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("openssl cannot make a certificate here")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize(
    ("host", "trusted", "outcome"),
    [
        ("hooks.example", True, AttemptOutcome.DELIVERED),
        ("other.example", True, AttemptOutcome.UNREACHABLE),
        ("hooks.example", False, AttemptOutcome.UNREACHABLE),
    ],
)
async def test_only_a_certificate_for_the_name_in_the_url_will_do(
    tmp_path: Path, port: int, host: str, trusted: bool, outcome: AttemptOutcome
) -> None:
    context = ssl.create_default_context()
    if trusted:
        context.load_verify_locations(tmp_path / "cert.pem")
    backend = egress.GuardedBackend(egress.allowed_networks("127.0.0.0/8"), loopback)
    sender = HttpSender(backend, time.time, tls=context)
    result = await sender.send(Request(f"https://{host}:{port}/x", {}, b"{}"))
    await sender.close()
    assert result.outcome is outcome, result
