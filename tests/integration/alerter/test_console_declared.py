"""People, schedules and policies in the console: by forms that work without JavaScript, and nothing is saved unseen."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import httpx2
import pytest
import yaml

from tests.integration.alerter.conftest import House
from tests.integration.alerter.test_console import csrf, sign_in
from tests.integration.alerter.test_declared import DANA, LISBON, NIGHT, everything, filed, lines
from tests.integration.alerter.test_keys import make_key

__all__ = ["filed"]
LISBON_TEXT = yaml.safe_dump(LISBON, sort_keys=False)


async def send(client: httpx2.AsyncClient, path: str, **fields: str) -> Any:
    return await client.post(f"/console/rota/{path}", data={"csrf": await csrf(client), **fields})


def field(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found is not None, name
    return unescape(found[1])


async def test_a_person_is_added_changed_and_deleted_by_forms_and_the_audit_names_who_did_it(filed: House) -> None:
    async with sign_in(filed, person="Maria") as client:
        added = await send(client, "new/responders", id="dana", name="Dana", methods="dana-push, dana-sms", urgent="",
                           calm="0 dana-sms\r\n15 dana-push")  # fmt: skip
        assert (added.status_code, added.headers["location"]) == (303, "/console/rota/responders/dana?done=saved")
        shown = (await client.get("/console/rota/responders/dana")).text
        assert "15 dana-push" in shown
        rules = [{"after_minutes": 0, "method": "dana-sms"}, {"after_minutes": 15, "method": "dana-push"}]
        now = (await filed.http.get("/v1/responders/dana")).json()
        assert now["document"] == {**DANA, "notify": {"calm": rules}}
        assert now["changed_by"] == "Maria"
        fields = {"id": "dana", "methods": "dana-sms", "zone": "Europe/Lisbon", "version": field(shown, "version")}
        assert (await send(client, "responders/dana", **fields)).status_code == 303
        stale = await send(client, "responders/dana", **fields)
        assert stale.status_code == 412
        assert "has version 2 by now, and you saw 1" in stale.text
        assert field(stale.text, "version") == "2", "who has read that may save over it"
        assert (await send(client, "responders/dana/delete", version="2")).status_code == 303
        assert "dana" not in (await client.get("/console/rota")).text
    for what, version in (("created", 1), ("changed", 2), ("deleted", 3)):
        (line,) = await lines(filed, f"responder.{what}")
        assert (line["actor"], line["detail"]["by"], line["detail"]["version"]) == ("admin", "Maria", version)


async def test_what_is_wrong_with_a_person_is_said_above_the_form_that_keeps_what_was_typed(filed: House) -> None:
    async with sign_in(filed) as client:
        for fields, why in (
            ({"methods": "dana-pusch"}, "did you mean 'dana-push'?"),
            ({"methods": "dana-push", "urgent": "soon dana-push"}, "notify.urgent.0.after_minutes"),
            ({"methods": "dana-push", "urgent": "3 dana-push"}, "must be at 0"),
            ({"methods": ""}, "methods"),
            ({"methods": "dana-push", "zone": "Mars"}, "IANA"),
        ):
            answer = await send(client, "new/responders", id="dana", name="<b>Dana</b>", **fields)
            assert answer.status_code == 422
            assert why in unescape(answer.text)
            assert field(answer.text, "name") == "<b>Dana</b>"
            assert "<b>Dana</b>" not in answer.text
        assert (await filed.http.get("/v1/responders/dana")).status_code == 404


async def test_a_schedule_is_saved_only_as_it_was_seen(filed: House) -> None:
    await filed.http.post("/v1/responders", json=DANA)
    text = LISBON_TEXT
    async with sign_in(filed) as client:
        first = await send(client, "new/schedules", text=text, do="save")
        assert first.status_code == 200
        assert "Nothing is saved yet" in first.text
        assert first.text.count("<b><bdi>lee</bdi></b>") >= 3
        assert first.text.count("<b><bdi>Dana</bdi></b>") >= 3
        assert (await filed.http.get("/v1/schedules/lisbon")).status_code == 404
        other = text.replace("Lisbon", "Berlin")
        again = await send(client, "new/schedules", text=other, do="save", seen=field(first.text, "seen"))
        assert "Nothing is saved yet" in again.text, "another text than the one that was seen"
        saved = await send(client, "new/schedules", text=text, do="save", seen=field(first.text, "seen"))
        assert saved.headers["location"] == "/console/rota/schedules/lisbon?done=saved"
        page = await client.get("/console/rota/schedules/lisbon")
        weekly = text.replace("daily", "weekly")
        seen = await send(client, "schedules/lisbon", text=weekly, do="preview", version=field(page.text, "version"))
        assert "It would take effect at the hand-over" in seen.text
    saved = (await filed.http.get("/v1/schedules/lisbon")).json()
    assert (saved["version"], saved["document"]["layers"][0]["rotation"]) == (1, "daily")


@pytest.mark.parametrize(
    ("part", "text", "line", "why"),
    [
        ("schedules", LISBON_TEXT.replace("Europe/Lisbon", "Mars"), 2, "IANA"),
        ("schedules", LISBON_TEXT.replace("- dana", "- no"), 9, "no responder 'no'"),
        ("schedules", "id: x\nzone: UTC\nid: y\n", 3, "stands here already on line 1"),
        ("schedules", "id: x\n  zone: [\n", 2, "not YAML"),
        ("policies", "id: x\nsteps:\n- targets: [dsek]\n", 3, "did you mean 'desk'?"),
        ("policies", "id: x\nstps: []\nsteps:\n- targets: [desk]\n", 2, "did you mean `steps`?"),
        ("policies", "just words", 1, "expected `id: ...`"),
        ("policies", "", 1, "expected `id: ...`"),
        ("policies", "id: &a [*a]\n", 1, ""),
    ],
)  # fmt: skip
async def test_a_mistake_in_the_text_stands_beside_its_line(
    filed: House, part: str, text: str, line: int, why: str
) -> None:
    async with sign_in(filed) as client:
        answer = await send(client, f"new/{part}", text=text, do="preview")
    assert answer.status_code == 422
    listed = re.findall(r"<li( class=\"wrong\")?>(.*?)</li>", answer.text.partition("<main")[2], re.DOTALL)
    wrong = [(number, words) for number, (mark, words) in enumerate(listed, 1) if mark]
    if text:
        assert [number for number, _ in wrong] == [line], answer.text
        assert why in unescape(wrong[0][1])


async def test_what_the_file_declares_is_shown_without_a_form(filed: House) -> None:
    await everything(filed)
    async with sign_in(filed) as client:
        listed = (await client.get("/console/rota")).text
        assert "in firebreak.yaml" in listed
        page = (await client.get("/console/rota/responders/lee")).text
        assert "Declared in <b>firebreak.yaml</b>, and read-only here" in page
        assert "<textarea" not in page
        assert (await send(client, "responders/lee", methods="dana-push")).status_code == 409
        assert (await client.get("/console/rota/responders/nobody")).status_code == 404
        assert (await client.get("/console/rota/brands/acme")).status_code == 404
        named = await send(client, "schedules/lisbon/delete", version="1")
        assert named.status_code == 409
        assert "still named by policies.night.steps.0" in named.text


async def test_a_policy_shows_whom_it_would_tell_before_it_is_saved(filed: House) -> None:
    await everything(filed)
    text = yaml.safe_dump({**NIGHT, "repeat": 1}, sort_keys=False)
    async with sign_in(filed) as client:
        seen = await send(client, "policies/night", text=text, version="1")
        assert "<b>lee (on call for lisbon)</b>" in seen.text
        saved = await send(client, "policies/night", text=text, version="1", do="save", seen=field(seen.text, "seen"))
        assert saved.status_code == 303
    assert (await filed.http.get("/v1/policies/night")).json()["document"] == {**NIGHT, "repeat": 1}


async def test_only_a_key_that_may_gets_forms(filed: House) -> None:
    await everything(filed)
    for name, scope, brands in (("reader", "read", ()), ("centre", "admin", ("acme",))):
        bearer = await make_key(filed, name, scope, *brands)
        async with sign_in(filed, bearer["authorization"].removeprefix("Bearer ")) as client:
            assert "/console/rota/new/" not in (await client.get("/console/rota")).text
            assert "<textarea" not in (await client.get("/console/rota/schedules/lisbon")).text
            assert (await client.get("/console/rota/new/policies")).status_code == 403
            for path in ("new/policies", "policies/night", "policies/night/delete"):
                answer = await send(client, path, text=yaml.safe_dump(NIGHT), methods="lee-push", id="x")
                assert answer.status_code == 403, path
    other = (await make_key(filed, "theirs", "admin", "other"))["authorization"].removeprefix("Bearer ")
    async with sign_in(filed, other) as client:
        assert (await client.get("/console/rota/schedules/lisbon")).status_code == 404
        assert (await send(client, "schedules/lisbon/delete")).status_code == 404
