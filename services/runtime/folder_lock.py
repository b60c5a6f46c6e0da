"""Notices that another process runs the same service on the same data folder: started twice by mistake, the two share its work,
and each shows half of it. It is told and not refused, because a replica that takes over may overlap with the one that ends.

The locks are the kernel's: they end with the process, even on kill -9.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

import structlog

from services.base.settings import Settings

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None  # type: ignore[assignment]

logger = structlog.get_logger()


class FolderLock:
    """One lock for each of the services that keep what they know in the data folder."""

    def __init__(self, settings: Settings, services: Iterable[str]) -> None:
        self._folder = settings.data
        # With Kafka only the alerter keeps something there, unless it has a database elsewhere.
        own = settings.log == "sqlite"
        self._wanted = [name for name in services if own or (name == "alerter" and settings.database is None)]
        self._held: dict[str, int] = {}

    def take(self) -> None:
        """Take the locks. A warning in the log says which of them another process has."""
        for service, pid in self.others().items():
            logger.warning(
                "data_folder_in_use",
                service=service,
                folder=str(self._folder),
                pid=pid,
                do="stop one of the two, or give each a FIREBREAK_DATA of its own",
            )

    def others(self) -> Mapping[str, str]:
        """Returns the services that another process runs on this folder, with its process id. What it has given up since the
        last call is ours."""
        found = {}
        for service in self._wanted:
            if service not in self._held and (pid := self._try(service)) is not None:
                found[service] = pid
        return found

    def _try(self, service: str) -> str | None:
        if fcntl is None:
            return None
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(self._folder / f"{service}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            logger.warning("data_folder_not_locked", folder=str(self._folder), why=error.strerror)
            return None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pid = os.read(lock, 20).decode("ascii", "replace").strip()
            os.close(lock)
            return pid
        os.ftruncate(lock, 0)
        os.write(lock, f"{os.getpid()}\n".encode())
        self._held[service] = lock
        return None

    def release(self) -> None:
        for lock in self._held.values():
            os.close(lock)
        self._held.clear()
