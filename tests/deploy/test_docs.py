"""What the docs tell people to type works: every curl of the API by example, the YAML of the integrations, every link."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from fastapi import FastAPI, Request, Response

from alerter.api.schemas import EndpointIn
from alerter.escalation import policy as escalation
from alerter.notify.kinds import TRAITS, check_key, checked_options
from alerter.notify.outlet import Kind
from services.base.settings import Settings
from services.config.loading import parse
from services.config.model import Policy
from services.contracts.topics import TOPICS
from services.runtime.http import Server
from services.tools.drills.installation import Installation
from services.tools.drills.player import Keys
from tests.deploy.measured import boards
from tests.deploy.tools import DEPLOY, ROOT, find, run
from tests.patience import PATIENCE_SECONDS

DOCS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), DEPLOY / "runbook.md"])
RULE = """
brands: [{id: acme-air, name: Acme Air, accounts: [{network: x, handle: acmeair, owner: care}]}]
rules: [{id: any-complaint, complaint_severity: 1, policy: front-desk}]
policies: [{id: front-desk, steps: [{endpoints: [front-desk]}]}]
"""


def blocks(file: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", file.read_text(), re.MULTILINE | re.DOTALL)


def anchors(file: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("file", DOCS, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_link_leads_somewhere(file: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", file.read_text()):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        there = (file.parent / path).resolve() if path else file
        assert there.exists(), f"{file.name}: {target}"
        assert not anchor or anchor in anchors(there), f"{file.name}: {target}"


@pytest.mark.parametrize("file", DOCS, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_test_that_is_named_exists(file: Path) -> None:
    for path, name in re.findall(r"`(tests/[\w./-]+)::(\w+)`", file.read_text()):
        assert f"def {name}(" in (ROOT / path).read_text(), f"{file.name}: {path}::{name}"


def test_what_is_kept_names_every_topic_with_its_time() -> None:
    lines = (ROOT / "docs" / "kept.md").read_text().splitlines()
    for topic in TOPICS:
        (line,) = [one for one in lines if one.startswith(f"| topic `{topic.name}`")]
        assert ("compacted" if topic.kept is None else f"{topic.kept.days} days") in line.split("|")[3]


def test_every_bound_that_is_named_is_in_the_code_and_every_setting_is_one() -> None:
    text = (ROOT / "docs" / "bounds.md").read_text()
    constants = re.findall(r"`([\w/]+\.py)::([A-Z_]+)`", text)
    assert len(constants) > 10
    for path, name in constants:
        assert re.search(rf"^_?{name}(: Final)? = ", (ROOT / path).read_text(), re.MULTILINE), f"{path}::{name}"
    for name in re.findall(r"`FIREBREAK_(\w+)`", text):
        assert name.lower() in Settings.model_fields, name


def test_every_attack_that_is_listed_has_a_verdict_and_names_a_test() -> None:
    text = (ROOT / "docs" / "security.md").read_text()
    table = text.split("| attack |")[1].split("\n\n")[0].splitlines()[2:]
    assert len(table) > 30
    for row in table:
        *_, verdict, tests, _ = (cell.strip() for cell in row.split("|"))
        assert verdict in {"held", "mended"}, row
        named = re.findall(r"`(tests/[\w./-]+)::(\w+)`", tests)
        assert named, row
        for path, name in named:
            assert f"def {name}(" in (ROOT / path).read_text(), row
    for name in re.findall(r"`FIREBREAK_(\w+)`", text):
        assert name.lower() in Settings.model_fields, name


def test_every_promise_about_policies_names_the_test_that_holds_it() -> None:
    sections = (ROOT / "docs" / "policies.md").read_text().split("\n## ")[1:]
    promises = [promise for section in sections for promise in section.strip().split("\n\n")[1:]]
    assert len(promises) > 12
    for promise in promises:
        assert promise.startswith("**"), promise
        assert re.search(r"`tests/[\w./-]+::\w+`", promise), promise


def test_the_policy_that_is_shown_is_taken_and_its_words_are_the_defaults_of_the_schema() -> None:
    file = ROOT / "docs" / "policies.md"
    (shown,) = blocks(file, "yaml")
    brand = "brands: [{id: acme-air, name: Acme Air, accounts: [{network: x, handle: acmeair, owner: dana}]}]\n"
    (policy,) = parse(brand + shown).policies
    assert set(yaml.safe_load(shown)["policies"][0]) == set(Policy.model_fields), "every field is shown"
    fields, text = Policy.model_fields, file.read_text()
    assert policy.insist_minutes == fields["insist_minutes"].default
    assert f"`insist_minutes` ({fields['insist_minutes'].default:g})" in text
    assert f"at least {escalation.LEAST_WAIT.total_seconds() / 60:g} minutes" in text
    assert (fields["hasten"].default, escalation.LEAST_SHARE) == ("deadline", 1 / 3)


def test_every_gotcha_names_the_test_that_guards_against_it() -> None:
    sections = (ROOT / "docs" / "gotchas.md").read_text().split("\n## ")[1:]
    entries = [entry for section in sections for entry in re.split(r"\n\n(?=\*\*)", section)[1:]]
    assert len(entries) > 50
    for entry in entries:
        assert re.search(r"`tests/[\w./-]+::\w+`", entry), entry


async def test_every_example_of_the_api_works(tmp_path: Path) -> None:
    find("curl")
    find("jq")
    keys = Keys.fresh()
    hook = FastAPI()
    hook.add_api_route("/hook", lambda: Response(status_code=204), methods=["POST"])
    server = Server(hook, "127.0.0.1", 0)
    serving = asyncio.create_task(server.run_until_stopped())
    installation = Installation(tmp_path, parse(RULE), {**keys.environment(), "FIREBREAK_SENTIMENT": "lexicon"})
    try:
        await installation.start()
        # An incident must be there before its part: every block that posts is followed until nothing is left to do.
        url = installation.url("ingest")
        environment = {
            "PATH": os.environ["PATH"], "INGEST": url, "ALERTER": url,
            "KEY": keys.post, "ADMIN": keys.admin, "HOOK": f"{server.url}/hook",
        }  # fmt: skip
        said = ""
        for block in blocks(ROOT / "docs" / "api.md", "sh"):
            done = await asyncio.to_thread(
                subprocess.run,
                ["bash", "-c", f"set -euo pipefail\n{block}"],
                env=environment, capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
            assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
            said += done.stdout
            found = re.search(r"^INCIDENT=", block, re.MULTILINE)
            if found:
                listed = re.search(r'"id": "(\w+)"', done.stdout)
                assert listed is not None, done.stdout
                environment["INCIDENT"] = listed[1]
            assert await installation.idle()
    finally:
        await installation.stop()
        server.stop()
        await serving
    for word in (
        '"status":"accepted"',
        "whsec_",
        '"delivered"',
        '"acme-air"',
        '"dana"',
        '"resolved"',
        "firebreak_ready",
    ):
        assert word in said, f"{word} in {said}"


async def test_the_five_minutes_of_the_readme_end_with_a_webhook(tmp_path: Path) -> None:
    find("curl")
    (tour,) = (block for block in blocks(ROOT / "README.md", "") if "make serve" in block)
    endpoint, post = re.findall(r"^curl .*?'\{.*?\}'", tour, re.MULTILINE | re.DOTALL)
    keys, hook = Keys.fresh(), FastAPI()
    came: asyncio.Queue[str] = asyncio.Queue()

    async def take(request: Request) -> Response:
        came.put_nowait((await request.json())["type"])
        return Response(status_code=204)

    hook.add_api_route("/hooks/front-desk", take, methods=["POST"])
    server = Server(hook, "127.0.0.1", 0)
    serving = asyncio.create_task(server.run_until_stopped())
    installation = Installation(tmp_path, parse((DEPLOY / "firebreak.yaml").read_text()), keys.environment())
    try:
        await installation.start()
        url = installation.url("ingest")
        for command in (endpoint, post):
            there = command.replace("localhost:8080", url.removeprefix("http://"))
            done = await asyncio.to_thread(
                subprocess.run,
                ["bash", "-c", there.replace("http://127.0.0.1:9090", server.url)],
                env={"PATH": os.environ["PATH"], "KEY": keys.post, "ADMIN": keys.admin},
                capture_output=True, text=True, timeout=60, check=True,
            )  # fmt: skip
            assert "secret" in done.stdout or "accepted" in done.stdout, done.stdout
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await came.get() == "incident.opened"
    finally:
        await installation.stop()
        server.stop()
        await serving


def test_the_dashboards_are_named_by_the_docs() -> None:
    text = (ROOT / "docs" / "grafana.md").read_text()
    for name in boards():
        assert f"{name}.json" in text
    (example,) = blocks(ROOT / "docs" / "grafana.md", "yaml")
    shipped = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    assert yaml.safe_load(example)["scrape_configs"] == shipped["scrape_configs"]


def test_the_pagerduty_receiver_is_one_that_alertmanager_takes(tmp_path: Path) -> None:
    policies, config = blocks(ROOT / "docs" / "pagerduty.md", "yaml")
    assert Policy.model_validate(yaml.safe_load(policies)["policies"][0]).steps
    (tmp_path / "alertmanager.yml").write_text(
        config.replace("routing_key_file: /etc/alertmanager/pagerduty-key", "routing_key: x")
    )
    run(find("amtool"), "check-config", tmp_path / "alertmanager.yml")


def test_what_is_shown_for_the_phone_is_taken_by_the_file_and_by_the_api() -> None:
    file = ROOT / "docs" / "phone.md"
    (shown,) = blocks(file, "yaml")
    (rosa,) = parse("brands: [{id: acme-air, name: Acme Air}]\n" + shown).responders
    assert len({identity.partition(":")[0] for identity in rosa.known_as}) == 4, "one of each service"
    endpoints = [EndpointIn.model_validate(json.loads(block)) for block in blocks(file, "json")]
    for one in endpoints:
        traits = TRAITS[one.kind]
        check_key(one.kind, one.key.get_secret_value() if one.key is not None else None)
        checked_options(one.kind, one.options)
        assert one.inbound_secret is None or traits.inbound
        assert traits.url_like is None or traits.url_like.fullmatch(one.url or "")
    told = {Kind.APPRISE, Kind.TELEGRAM, Kind.NTFY, Kind.SLACK}
    assert {one.kind for one in endpoints} == told
    for kind, traits in TRAITS.items():
        assert not traits.inbound or kind in told or kind in (Kind.PAGERDUTY, Kind.HTTP), (
            "those have pages of their own"
        )


def test_the_pagerduty_endpoint_is_one_that_the_api_takes() -> None:
    if "pagerduty" not in set(Kind):
        pytest.skip("this alerter has no outlet for PagerDuty yet")
    (example,) = blocks(ROOT / "docs" / "pagerduty.md", "json")
    assert EndpointIn.model_validate(json.loads(example)).name == "on-call"
