"""Finds what in an apprise URL would open a file of this machine. Dozens of its services take a template, a key or something to
attach by its path, and would send it to whoever wrote the URL. Imports nothing of apprise."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import unquote

OPTIONS: Final = frozenset({"keyfile", "subfile", "pgppub", "pgpprv", "pgpkey", "attach", "config", "include", "cert"})
"""Options whose value is always a file. `template` is one for some services, and a name for others: see `attached`."""
_CODE: Final = (".py", ".pyc", ".so", "/mime.types")
_SYSTEM: Final = ("/etc/ssl", "/etc/pki", "/etc/ca-certificates", "/usr/share", "/usr/lib", "/dev/null", "/dev/urandom")
_NAMES: Final = (
    "/etc/hosts",
    "/etc/resolv.conf",
    "/etc/nsswitch.conf",
    "/etc/mime.types",
    "/etc/localtime",
    "/etc/gai.conf",
)
_DEPTH: Final = 4


def named_in(url: str) -> str | None:
    """The option of a URL that names a file, by its name or its value; `None` if there is none."""
    for part in url.replace("?", "&").replace(";", "&").split("&"):
        name, _, value = part.partition("=")
        name = unquote(unquote(name)).strip(" +-:").lower()
        if name in OPTIONS or unquote(unquote(value)).strip().lower().startswith("file:"):
            return name
    return None


def attached(target: Any, kind: type[Any], depth: int = _DEPTH) -> bool:
    """Returns True if the service `target` holds something to open: an object of `kind` that is not empty."""
    if isinstance(target, kind):
        return len(target) > 0
    inside: Iterator[Any] = iter(())
    if isinstance(target, dict):
        inside = iter(target.values())
    elif isinstance(target, list | tuple | set):
        inside = iter(target)
    elif type(target).__module__.startswith("apprise."):
        inside = iter(vars(target).values() if hasattr(target, "__dict__") else ())
    return depth > 0 and any(attached(one, kind, depth - 1) for one in inside)


def may_be_read(path: Any) -> bool:
    """Returns True for what Python itself, its libraries and TLS need: code, certificates, and what the system tells all."""
    if isinstance(path, int):
        return True  # opened already, and checked then
    try:
        real = os.path.realpath(os.fsdecode(path))
    except (TypeError, ValueError):
        return False
    own = [
        sys.prefix,
        sys.base_prefix,
        *(os.environ[name] for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if name in os.environ),
    ]
    roots = [os.path.realpath(root) for root in (*_SYSTEM, *own)]
    return real.endswith(_CODE) or real in _NAMES or any(real == root or real.startswith(root + "/") for root in roots)
