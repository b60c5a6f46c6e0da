"""`firebreak rotate-secrets`: brings what is encrypted in the database under the newest key."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

from services.base.settings import Settings
from services.base.terminal import console, say


def rotate_secrets(
    decrypt: Annotated[bool, typer.Option("--decrypt", help="store them unencrypted, to do without keys")] = False,
    drop_unreadable: Annotated[
        bool,
        typer.Option("--drop-unreadable", help="the key is lost: remove the endpoints whose secrets no key opens"),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="do not ask for confirmation")] = False,
) -> None:
    """Encrypt the URLs and secrets of endpoints with the first key of FIREBREAK_SECRET_KEYS; all keys there decrypt.

    To rotate: put the new key first and keep the old one behind it, restart all alerters, run this, and take the old key
    away. Several replicas first learn the new key behind the old one, in a restart before. An alerter on SQLite does this
    by itself when it starts. The audit log keeps a line about it."""
    from alerter.store.rotation import Rotation  # Alembic is slow to import

    with Rotation(Settings()) as job:
        if drop_unreadable:
            names = job.unreadable()
            say("cannot be read: {}", ", ".join(names) or "nothing")
            if names and not yes:
                typer.confirm("Remove these endpoints?", abort=True)
            job.drop_unreadable(getpass.getuser())
        count = job.rotate(getpass.getuser(), decrypt=decrypt)
    if not job.vault.has_key and not decrypt:
        console.print("FIREBREAK_SECRET_KEYS is not set: nothing is encrypted")
    else:
        say("{} values are now {}", format(count, ","), "unencrypted" if decrypt else "encrypted with the newest key")
