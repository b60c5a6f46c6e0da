"""Who has the database but not the key has no secret: URLs, signing secrets, routing keys, tokens, and our own link key.

And whoever has the wrong key is told so when he starts, and nothing is lost by it.
"""

from __future__ import annotations

import asyncio
import base64
import re
from pathlib import Path
from typing import Any, Final

import pytest
from pydantic import SecretStr
from sqlalchemy import text
from structlog.testing import capture_logs
from typer.testing import CliRunner

from alerter.cli import app
from alerter.store.vault import Locked, Vault
from services.base.errors import ConfigError
from tests.integration.alerter import receiver
from tests.integration.alerter.conftest import House, MakeHouse
from tests.patience import PATIENCE_SECONDS
from tests.unit.alerter import make

OLD: Final = base64.b64encode(bytes(32)).decode()
NEW: Final = base64.b64encode(bytes(range(32))).decode()
TOKENS: Final = ("T0KEN-of-desk", "b3arer-of-amw", "inb0und-of-pager", "R0UT1NGKEYR0UT1NGKEYR0UT1NGKEY00", "p33r-of-am")


def with_keys(house: House, *keys: str) -> House:
    value = SecretStr(",".join(keys)) if keys else None
    house.settings = house.settings.model_copy(update={"secret_keys": value})
    return house


async def fill(house: House) -> tuple[str, ...]:
    """Endpoints of each kind that has a secret. Returns all of the secrets that the database must not show."""
    desk = await house.endpoint("desk", "/desk?token=T0KEN-of-desk")
    for body in (
        {"name": "amw", "kind": "alertmanager_webhook", "url": house.receiver.url("/amw"), "key": TOKENS[1]},
        {
            "name": "pager",
            "kind": "pagerduty",
            "url": house.receiver.url("/pager"),
            "key": TOKENS[3],
            "inbound_secret": TOKENS[2],
        },
        {
            "name": "am",
            "kind": "alertmanager",
            "url": house.receiver.url("/am"),
            "options": {"peers": [house.receiver.url("/p33r-of-am")]},
        },
    ):
        answer = await house.http.post("/v1/endpoints", json=body)
        assert answer.status_code == 201, answer.text
    return (*TOKENS, desk.removeprefix("whsec_"))


async def stored(house: House) -> str:
    """Everything that a reader of the database sees in the four columns; of SQLite the bytes of its files as well."""

    def read(connection: Any) -> str:
        rows = [
            *connection.execute(text("SELECT url, options FROM endpoints")),
            *connection.execute(text("SELECT secret FROM secrets")),
        ]
        keys = [bytes(value) for (value,) in connection.execute(text("SELECT value FROM installation"))]
        return repr([tuple(row) for row in rows]) + repr(keys) + "".join(key.hex() for key in keys)

    return await house.alerter.database.read(read) + in_files(house.settings.data)


async def secrets_of(house: House) -> list[Any]:
    """The secrets as they are stored."""
    query = text("SELECT id, secret FROM secrets ORDER BY id")
    return [tuple(row) for row in await house.alerter.database.read(lambda c: c.execute(query).all())]


def in_files(folder: Path) -> str:
    return "".join(path.read_bytes().decode("latin-1") for path in sorted(folder.glob("alerter.db*")))


async def command(house: House, monkeypatch: pytest.MonkeyPatch, *words: str, keys: str = "", typed: str = "") -> Any:
    for name, value in (
        ("DATA", str(house.settings.data)),
        ("DATABASE", house.settings.database),
        ("SECRET_KEYS", keys),
    ):
        monkeypatch.delenv(f"FIREBREAK_{name}", raising=False)
        if value:
            monkeypatch.setenv(f"FIREBREAK_{name}", value)
    return await asyncio.to_thread(lambda: CliRunner().invoke(app.app, ["rotate-secrets", *words], typed))


def found(secrets: tuple[str, ...], where: str) -> set[str]:
    return {secret for secret in secrets if secret in where}


async def works(house: House) -> None:
    """Messages arrive, signed with the secret that the receiver knows, under links that are still good."""
    house.receiver.got.clear()
    await house.signal(make.forecast(story=f"bsky:{house.clock.now().timestamp()}"))
    await house.settle()
    (got,) = [one for one in house.receiver.got if one.path.startswith("/desk")]
    receiver.verify(house.secrets["desk"], got)
    house.clock.advance(1)


async def test_with_a_key_the_database_shows_no_secret_and_everything_works(make_house: MakeHouse) -> None:
    house = with_keys(make_house(), OLD)
    await house.receiver.start()
    async with house.running():
        secrets = await fill(house)
        await works(house)
        listed = (await house.http.get("/v1/endpoints")).json()["items"]
        assert {one["target"] for one in listed} == {house.receiver.url("").rstrip("/")}
        await house.alerter.database.fold()
        assert found((*secrets, house.alerter.links.key.hex()), await stored(house)) == set()  # type: ignore[union-attr]


async def test_without_a_key_everything_works_as_before(make_house: MakeHouse) -> None:
    house = make_house()
    await house.receiver.start()
    async with house.running():
        secrets = await fill(house)
        await works(house)
        assert found(secrets, await stored(house)) == set(secrets), "or the tests of this file look in the wrong place"


async def test_what_was_there_before_the_key_is_encrypted_and_overwritten(
    make_house: MakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = make_house()
    await house.receiver.start()
    async with house.running():
        secrets = await fill(house)
    with_keys(house, OLD)
    with capture_logs() as said:
        async with house.running():
            if house.settings.database is not None:  # other replicas may not have the key yet
                assert "secrets_not_under_the_newest_key" in {line["event"] for line in said}
                assert found(secrets, await stored(house)) == set(secrets)
                await works(house)
                done = await command(house, monkeypatch, keys=OLD)
                assert done.exit_code == 0, done.output
                assert re.search(r"^1\d values are now encrypted with the newest key", done.output, re.MULTILINE)
            await works(house)
            assert found(secrets, await stored(house)) == set()
    if house.settings.database is None:
        assert "secrets_encrypted" in {line["event"] for line in said}


async def test_a_new_key_takes_over_and_the_old_one_is_needed_no_more(
    make_house: MakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = with_keys(make_house(), OLD)
    await house.receiver.start()
    async with house.running():
        await fill(house)
    async with with_keys(house, NEW, OLD).running():
        await works(house)
        done = await command(house, monkeypatch, keys=f"{NEW},{OLD}")
        assert done.exit_code == 0, done.output
        await works(house)
        lines = (await house.http.get("/v1/audit")).json()["items"]
        rotated = [line["what"] for line in lines if line["what"].startswith("secrets.")]
        assert rotated == ([] if house.settings.database is None else ["secrets.rotated"])
    async with with_keys(house, NEW).running():
        await works(house)
        again = await command(house, monkeypatch, keys=NEW)
        assert "0 values" in again.output


@pytest.mark.parametrize("keys", [(), (NEW,)], ids=["no key", "another key"])
async def test_who_starts_without_the_right_key_is_refused_told_what_to_do_and_nothing_changes(
    make_house: MakeHouse, keys: tuple[str, ...]
) -> None:
    house = with_keys(make_house(), OLD)
    await house.receiver.start()
    async with house.running():
        await fill(house)
        before = await secrets_of(house)
    with_keys(house, *keys)
    with pytest.raises(ExceptionGroup) as raised:
        async with house.running():
            pass
    await house.alerter.database.close()  # as the end of its process would
    (why,) = raised.value.exceptions
    assert isinstance(why, Locked)
    for words in ("FIREBREAK_SECRET_KEYS", "am, amw, desk, pager", "rotate-secrets --drop-unreadable", "newest first"):
        assert words in str(why)
    assert found(TOKENS, str(why)) == set()
    async with with_keys(house, OLD).running():
        await works(house)
        assert await secrets_of(house) == before


async def test_a_key_that_another_replica_has_and_we_do_not_ends_us_instead_of_silence(make_house: MakeHouse) -> None:
    house = with_keys(make_house(), OLD)
    await house.receiver.start()

    async def life() -> None:
        async with house.running():
            await house.endpoint("desk")
            sealed = {"url": Vault(NEW).seal(house.receiver.url("/desk"))}
            await house.alerter.database.write(lambda c: c.execute(text("UPDATE endpoints SET url = :url"), sealed))
            await house.signal(make.forecast())
            await asyncio.wait_for(asyncio.Event().wait(), PATIENCE_SECONDS)

    with pytest.raises(ExceptionGroup) as raised:
        await life()
    assert raised.value.subgroup(Locked) is not None
    assert house.receiver.got == []


async def test_when_a_key_is_lost_its_endpoints_can_be_removed_and_set_up_anew(
    make_house: MakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = with_keys(make_house(), OLD)
    await house.receiver.start()
    async with house.running():
        await fill(house)
    refused = await command(house, monkeypatch, keys=NEW)
    assert isinstance(refused.exception, Locked)
    kept = await command(house, monkeypatch, "--drop-unreadable", keys=NEW, typed="n\n")
    assert kept.exit_code == 1
    assert "am, amw, desk, pager" in kept.output
    done = await command(house, monkeypatch, "--drop-unreadable", "--yes", keys=NEW)
    assert done.exit_code == 0, done.output
    async with with_keys(house, NEW).running():
        assert (await house.http.get("/v1/endpoints")).json()["items"] == []
        lines = (await house.http.get("/v1/audit")).json()["items"]
        gone = {line["on"] for line in lines if line["what"] == "endpoint.deleted"}
        assert gone == {"am", "amw", "desk", "pager"}
        await fill(house)
        await works(house)


async def test_one_may_go_back_to_no_key(make_house: MakeHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    house = with_keys(make_house(), OLD)
    await house.receiver.start()
    async with house.running():
        secrets = await fill(house)
    done = await command(house, monkeypatch, "--decrypt", keys=OLD)
    assert done.exit_code == 0, done.output
    async with with_keys(house).running():
        await works(house)
        assert found(secrets, await stored(house)) == set(secrets)


async def test_the_command_without_a_key_changes_nothing_and_says_so(
    make_house: MakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = make_house()
    await house.receiver.start()
    async with house.running():
        await fill(house)
        before = await secrets_of(house)
        done = await command(house, monkeypatch)
        assert "FIREBREAK_SECRET_KEYS is not set" in done.output
        assert await secrets_of(house) == before
        await works(house)


async def test_the_command_needs_a_database(make_house: MakeHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    house = make_house(database=None, data=Path("nowhere"))
    refused = await command(house, monkeypatch, keys=OLD)
    assert isinstance(refused.exception, ConfigError)
    assert "FIREBREAK_DATABASE" in str(refused.exception)
