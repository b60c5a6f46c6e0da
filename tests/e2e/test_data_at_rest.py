"""What the product keeps, as a user starts it: closed to others under any umask, and never opened with a wrong key."""

from __future__ import annotations

import base64
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from services.config.loading import parse
from services.tools.drills.installation import Installation
from services.tools.drills.player import Keys
from tests.e2e.test_cli import firebreak

CONFIG = parse("brands: [{id: acme, name: Acme, line: {engagements: 100}}]")


@pytest.fixture(autouse=True)
def no_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, str]:
    found = {path.name: path for path in (folder, *folder.rglob("*"))}
    return {name: f"{stat.S_IMODE(path.stat().st_mode):04o}" for name, path in found.items()}


def installed(tmp_path: Path, keys: Keys, **more: str) -> Installation:
    environment = {"SENTIMENT": "lexicon", "DATA": str(tmp_path / "home" / "data"), "LOG_FORMAT": "json"} | more
    return Installation(
        tmp_path, CONFIG, {**keys.environment(), **{f"FIREBREAK_{name}": value for name, value in environment.items()}}
    )


def said(tmp_path: Path, event: str) -> list[Any]:
    lines = (tmp_path / "0-ingest-scorer-alerter.log").read_text().splitlines()
    logged = [json.loads(line) for line in lines if line.startswith("{")]
    return [line for line in logged if line["event"] == event]


async def test_every_file_is_0600_and_every_folder_0700_and_what_was_wider_is_closed_and_said_once(
    tmp_path: Path,
) -> None:
    data, keys = tmp_path / "home" / "data", Keys.fresh()
    first = installed(tmp_path, keys)
    try:
        await first.start()
        post = {"network": "x", "post_id": "p1", "text": "@acme your app is a disgrace", "brands": ["acme"]}
        async with httpx2.AsyncClient(headers={"authorization": f"Bearer {keys.post}"}) as client:
            await client.post(f"{first.url('ingest')}/v1/posts", json=post)
        assert await first.idle()
        files = {"log.db", "log.db-wal", "log.db-shm"} | {
            f"alerter.db{ending}" for ending in ("", "-wal", "-shm", ".lock")
        }
        files |= {"ingest.lock", "scorer.lock", "alerter.lock", "config.last-good.yaml"}
        assert modes(tmp_path / "home") == {"home": "0700", "data": "0700"} | dict.fromkeys(files, "0600")
    finally:
        await first.stop()
    assert said(tmp_path, "data_was_open_to_others") == []

    data.chmod(0o755)
    (data / "quarantine-0-1.json").write_text("{}")
    anew = data / "config.last-good.yaml"  # every start writes it
    wide = sorted(str(path) for path in (data, *data.iterdir()) if path != anew)
    for path in wide[1:]:
        Path(path).chmod(0o666)
    second = installed(tmp_path, keys)
    try:
        await second.start()
        assert {mode for name, mode in modes(data).items() if name != "data"} == {"0600"}
        assert modes(data)["data"] == "0700"
        (line,) = said(tmp_path, "data_was_open_to_others")
        assert sorted(line["paths"]) == wide
    finally:
        await second.stop()


async def test_a_start_with_the_wrong_key_is_refused_with_what_to_do_and_without_a_traceback(tmp_path: Path) -> None:
    old, new = (base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2))
    keys = Keys.fresh()
    first = installed(tmp_path, keys, SECRET_KEYS=old)
    try:
        await first.start()
        async with httpx2.AsyncClient(headers={"authorization": f"Bearer {keys.admin}"}) as client:
            body = {"name": "desk", "url": "https://hooks.example.com/T0KEN"}
            answer = await client.post(f"{first.url('alerter')}/v1/endpoints", json=body)
            assert answer.status_code == 201, answer.text
    finally:
        await first.stop()
    settings: dict[str, Any] = {
        "CONFIG": str(tmp_path / "firebreak.yaml"), "DATA": str(tmp_path / "home" / "data"), "PORT": "0",
        "SENTIMENT": "lexicon", "API_KEYS": "me:" + "k" * 20, "ADMIN_KEY": "a" * 20,
    }  # fmt: skip
    wrong: tuple[dict[str, Any], ...] = ({}, {"SECRET_KEYS": new})
    for more in wrong:
        refused = firebreak("run", **settings, **more)
        assert refused.returncode == 1, refused.stderr
        for words in ("FIREBREAK_SECRET_KEYS", "endpoints: desk", "rotate-secrets --drop-unreadable"):
            assert words in refused.stderr, refused.stderr
        assert "Traceback" not in refused.stderr
        ill = " ".join(firebreak("doctor", **settings, **more).stdout.split())
        assert "(endpoints: desk) do: set FIREBREAK_SECRET_KEYS to the key" in ill, ill
    malformed = firebreak("run", **settings, SECRET_KEYS="n0tAkey")
    assert (malformed.returncode, "Traceback" in malformed.stderr) == (1, False)
    assert "openssl rand -base64 32" in malformed.stderr
    assert "n0tAkey" not in malformed.stderr
    well = firebreak("doctor", **settings, SECRET_KEYS=f"{new},{old}")
    assert well.returncode == 0, well.stdout
    assert "firebreak rotate-secrets" in well.stdout
    assert firebreak("rotate-secrets", **settings, SECRET_KEYS=f"{new},{old}").returncode == 0
    best = firebreak("doctor", **settings, SECRET_KEYS=new)
    assert "the secrets of endpoints are encrypted in the database" in best.stdout
    assert firebreak("run", **settings, SECRET_KEYS=old).returncode == 1


def test_the_doctor_says_that_secrets_lie_open_without_a_key(tmp_path: Path) -> None:
    (tmp_path / "firebreak.yaml").write_text("brands: [{id: acme, name: Acme, line: {engagements: 20}}]\n")
    (tmp_path / "log.db").write_text("")
    (tmp_path / "log.db").chmod(0o644)
    noted = " ".join(firebreak("doctor", CONFIG=str(tmp_path / "firebreak.yaml"), DATA=str(tmp_path)).stdout.split())
    assert "no FIREBREAK_SECRET_KEYS: URLs and secrets of endpoints lie unencrypted" in noted
    assert f"{tmp_path / 'log.db'} can be read by other users" in noted
