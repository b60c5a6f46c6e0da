"""The server says where it could not listen, and what decides about that."""

from __future__ import annotations

import socket

import pytest
from fastapi import FastAPI

from services.base.errors import ConfigError
from services.runtime.http import Server


def test_a_port_in_use_is_an_error_that_says_what_to_set() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1 port {port}: .* FIREBREAK_PORT"):
            Server(FastAPI(), "127.0.0.1", port)
