"""Finds out whether the data folder can be used, by using it, and says what is wrong and what to do about it."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from services.base import private
from services.base.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Trouble:
    what: str
    then: str


def trouble_with(folder: Path) -> Trouble | None:
    """Make the folder if it is not there, write into it, and open each SQLite file in it as SQLite will. Returns what went
    wrong, or `None`."""
    place = folder
    try:
        private.make_folder(folder)
        with tempfile.TemporaryFile(dir=folder):
            pass
        for place in sorted(folder.glob("*.db*")):
            with place.open("r+b"):
                pass
    except OSError as error:
        return _told(folder, place, error)
    return None


def check(folder: Path) -> None:
    """Raises `ConfigError` if the folder cannot be used."""
    trouble = trouble_with(folder)
    if trouble is not None:
        raise ConfigError(f"{trouble.what}\ndo: {trouble.then}")


def _told(folder: Path, place: Path, error: OSError) -> Trouble:
    there = _nearest(place)
    what = f"{place} cannot be {'used' if place is folder else 'read and written'}: {error.strerror}"
    elsewhere = "set FIREBREAK_DATA to a folder that this user may write"
    if there.is_file() and place is folder:
        return Trouble(f"{what}; {there} is a file", elsewhere)
    if not isinstance(error, PermissionError) or not hasattr(os, "geteuid"):
        return Trouble(what, f"make it writable, or {elsewhere}")
    found, us = there.stat(), f"{os.geteuid()}:{os.getegid()}"
    needed = "0700" if there.is_dir() else "0600"
    return Trouble(
        f"{what}; {there} belongs to {_owner(there)} ({found.st_uid}), mode {found.st_mode & 0o7777:04o}; we run as {us}",
        f"chown -R {us} {there}, mode {needed}; a volume of podman: mount it with the option U=true (-v NAME:{folder}:U); "
        f"in Kubernetes: fsGroup {os.getegid()}; or {elsewhere}",
    )


def _nearest(place: Path) -> Path:
    """Returns the nearest part of the path that this process may look at. It is kept from what lies below."""
    for part in (place, *place.parents):
        try:
            part.stat()
        except OSError:
            continue
        return part
    return Path("/")


def _owner(place: Path) -> str:
    try:
        return place.owner()
    except KeyError:
        return "a uid without a name"
