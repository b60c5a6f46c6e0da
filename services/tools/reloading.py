"""Asks a running installation to read its configuration file again, and says what came of it."""

from __future__ import annotations

from typing import Final

import httpx2

from services.base.errors import ConfigError
from services.base.settings import Settings
from services.base.terminal import say

RELOAD_SECONDS: Final = 120
"""For ten thousand brands on a busy machine."""


def ask_for_reload(settings: Settings, url: str | None) -> None:
    """Print which version is in force. Raises `ConfigError` with the mistakes of the file, or why nobody answered."""
    key = key_of(settings, ", or send the process a SIGHUP")
    there = address_of(settings, url)
    try:
        answer = httpx2.post(
            f"{there}/v1/config/reload",
            headers={"authorization": f"Bearer {key}"},
            timeout=RELOAD_SECONDS,
        )
        body = answer.json()
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
        raise ConfigError(
            f"{there} did not answer ({type(error).__name__}); give --url, or send the process a SIGHUP"
        ) from None
    if answer.status_code == 200:
        say("[green]ok[/]    {} is in force{}", body["version"], "" if body["changed"] else ", as it was before")
        return
    mistakes = [str(one.get("why", "")) for one in body.get("errors", ())]
    raise ConfigError("\n".join([f"{body.get('detail', answer.status_code)}", *mistakes]))


def key_of(settings: Settings, otherwise: str = "") -> str:
    """Returns the key for a running installation. Raises `ConfigError` if there is none."""
    key = settings.admin_key.get_secret_value() if settings.admin_key is not None else ""
    if not key:
        raise ConfigError(f"set FIREBREAK_ADMIN_KEY to the key of the installation{otherwise}")
    return key


def address_of(settings: Settings, url: str | None) -> str:
    """Returns where the API of a running installation is: `url`, or what the settings say."""
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::", "") else settings.host  # noqa: S104 - compared, not bound
    return (url or f"http://{f'[{host}]' if ':' in host else host}:{settings.port}").rstrip("/")
