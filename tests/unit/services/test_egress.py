"""No address that was not allowed is ever connected to, whatever a name server answers."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

import httpcore2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.base import egress
from services.base.errors import ConfigError

LOOPBACK = egress.allowed_networks("127.0.0.0/8, ::1/128")


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1",  # noqa: S104
        "169.254.169.254", "100.64.0.1", "100.127.255.255", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255",
        "192.0.2.1", "198.51.100.7", "203.0.113.9", "198.18.0.1", "192.0.0.8", "192.88.99.1",
        "::", "::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::",
        "2001::1", "2001:db8::1", "3fff::1", "fc00::1", "fd12:3456::1", "fe80::1", "fe80::1%1", "fec0::1", "ff02::1", "100::1",
        "::7f00:1", "no address", "", "1.2.3", "0x7f.1", "2130706433",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public_are_refused(address: str) -> None:
    assert egress.refusal(address, ()) is not None


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"])
def test_public_addresses_are_allowed(address: str) -> None:
    assert egress.refusal(address, ()) is None


@given(st.ip_addresses(v=4))
def test_nothing_is_allowed_that_python_does_not_call_global(address: ipaddress.IPv4Address) -> None:
    if egress.refusal(str(address), ()) is None:
        assert address.is_global
        assert not address.is_multicast


@given(st.ip_addresses(v=6))
def test_nothing_is_allowed_outside_the_global_unicast_block(address: ipaddress.IPv6Address) -> None:
    if egress.refusal(str(address), ()) is None:
        assert address.is_global
        assert address in ipaddress.ip_network("2000::/3")
        assert address.sixtofour is None
        assert address.teredo is None


def test_the_operator_can_open_a_block_and_no_more() -> None:
    opened = egress.allowed_networks("10.1.0.0/16,fd00::/8")
    assert egress.refusal("10.1.2.3", opened) is None
    assert egress.refusal("fd00::1", opened) is None
    assert egress.refusal("10.2.0.1", opened) == "private"
    assert egress.refusal("::ffff:10.1.2.3", opened) == "IPv4-mapped"
    with pytest.raises(ConfigError, match="FIREBREAK_EGRESS_ALLOW"):
        egress.allowed_networks("10.0.0.1/8")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/", "file:///etc/passwd", "gopher://example.com", "https://", "https:///x", "//example.com",
        "example.com", "https://user:pass@example.com/", "https://user@example.com", "https://example.com/#x",
        "https://exa mple.com/", "https://example.com/\n", "https://example.com:99999/", "https://example.com:x/",
        "https://127.0.0.1/", "http://[::1]/", "http://169.254.169.254/latest/meta-data", "http://[fe80::1%25eth0]/",
        "https://ex\u00e4mple.com/", "https://example.com\\@evil.com/", "https://" + "a" * 2000, "https://[::1",
        "javascript:alert(1)",
    ],
)  # fmt: skip
def test_a_url_that_can_be_no_endpoint_is_refused(url: str) -> None:
    with pytest.raises(egress.BadTarget):
        egress.check_url(url, ())


def test_names_are_left_to_the_connection() -> None:
    egress.check_url("https://hooks.example.com/x?sig=1", ())
    egress.check_url("http://127.0.0.1:9/", LOOPBACK)


class Dns:
    """Answers one after the other, and counts."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self, _host: str, _port: int) -> Sequence[str]:
        self.asked += 1
        return self.answers[min(self.asked, len(self.answers)) - 1]


@pytest.mark.parametrize(
    "answer",
    [
        ["127.0.0.1"],
        ["8.8.8.8", "127.0.0.1"],
        ["2606:4700::1", "::1"],
        ["169.254.169.254"],
        ["::ffff:10.0.0.1"],
        ["junk"],
    ],
)
async def test_one_bad_address_refuses_the_name_before_any_connection(answer: list[str]) -> None:
    backend = egress.GuardedBackend((), Dns(answer))
    with pytest.raises(egress.Blocked):
        await backend.connect_tcp("evil.example", 80, timeout=1)


async def test_a_name_is_resolved_once_and_that_answer_is_what_is_connected_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dns = Dns(["93.184.215.14"], ["127.0.0.1"])
    backend = egress.GuardedBackend((), dns)
    connected: list[str] = []

    async def connect(host: str, *_rest: object) -> httpcore2.AsyncNetworkStream:
        connected.append(host)
        return httpcore2.AsyncMockStream([])

    monkeypatch.setattr(backend._open, "connect_tcp", connect)
    await backend.connect_tcp("rebinding.example", 443)
    assert (dns.asked, connected) == (1, ["93.184.215.14"])
    with pytest.raises(egress.Blocked, match="loopback"):
        await backend.connect_tcp("rebinding.example", 443)
    assert connected == ["93.184.215.14"]


async def test_the_next_address_is_tried_when_one_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = egress.GuardedBackend((), Dns(["8.8.8.8", "1.1.1.1"]))
    tried: list[str] = []

    async def connect(host: str, *_rest: object) -> httpcore2.AsyncNetworkStream:
        tried.append(host)
        if host == "8.8.8.8":
            raise httpcore2.ConnectError("no")
        return httpcore2.AsyncMockStream([])

    monkeypatch.setattr(backend._open, "connect_tcp", connect)
    await backend.connect_tcp("two.example", 443)
    assert tried == ["8.8.8.8", "1.1.1.1"]


async def test_a_name_without_an_address_is_unreachable_not_blocked() -> None:
    with pytest.raises(httpcore2.ConnectError, match="no address"):
        await egress.GuardedBackend((), Dns([])).connect_tcp("empty.example", 80)
