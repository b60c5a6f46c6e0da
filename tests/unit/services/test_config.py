"""The configuration is checked whole, and an error says where it stands and what would be right."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.base.errors import ConfigError
from services.config.loading import load, parse
from services.config.model import Config
from services.contracts.post import SourcePolicy

GOOD = """\
brands:
  - id: acme
    name: Acme Air
    accounts:
      - {network: x, handle: "@AcmeAir", owner: care}
    line: {engagements: 200}
sources:
  - {network: x, policy: ids_only}
rules:
  - {id: viral, level: likely, policy: desk, playbook: storm}
policies:
  - {id: desk, steps: [{endpoints: [front]}]}
playbooks:
  storm: "1. Answer."
"""


def test_a_good_file_is_taken() -> None:
    config = parse(GOOD)
    assert config.brands[0].accounts[0].id == "x:acmeair"
    assert config.source_policy("x") is SourcePolicy.IDS_ONLY
    assert config.source_policy("elsewhere") is SourcePolicy.TEXT_ALLOWED


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("name: Acme Air", "nam: Acme Air", 3, ["brands.0.nam", "no such field"]),
        ("    name: Acme Air\n", "", 2, ["brands.0.name", "required"]),
        ("engagements: 200", "engagements: 0", 6, ["brands.0.line.engagements", "greater than or equal to 1", "'0'"]),
        ("id: acme", "id: ACME", 2, ["brands.0.id", "pattern"]),
        ("policy: desk", "policy: dask", 10, ["rules.0.policy", "'dask'", "desk"]),
        ("playbook: storm", "playbook: strom", 10, ["rules.0.playbook", "'strom'", "storm"]),
        ("level: likely, ", "", 10, ["rules.0", "needs a condition"]),
        ("level: likely", "level: perhaps", 10, ["rules.0.level", "'watch'"]),
        ("level: likely", "level: likely, brands: [acne]", 10, ["rules.0.brands.0", "'acne'", "acme"]),
        ("endpoints: [front]", "endpoints: []", 12, ["policies.0.steps.0.endpoints"]),
        ("policy: ids_only", "policy: everything", 8, ["sources.0.policy", "'text_allowed'"]),
        ("  storm:", "\tstorm:", 14, ["not YAML"]),
    ],
)
def test_an_error_names_line_and_field_and_what_would_be_right(old: str, new: str, line: int, words: list[str]) -> None:
    assert old in GOOD
    with pytest.raises(ConfigError) as caught:
        parse(GOOD.replace(old, new), "my.yaml")
    said = str(caught.value)
    assert f"my.yaml:{line}:" in said
    assert all(word in said for word in words), said


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(GOOD.replace("id: acme", "id: ACME").replace("level: likely", "level: perhaps"))
    assert len(str(caught.value).splitlines()) == 2


def test_doubled_ids_and_accounts_are_found() -> None:
    twice = GOOD.replace(
        "sources:", "  - {id: acme, name: Acme Two, accounts: [{network: x, handle: acmeair, owner: b}]}\nsources:"
    )
    with pytest.raises(ConfigError) as caught:
        parse(twice)
    assert "brands.1.id: 'acme' is used already" in str(caught.value)
    assert "x:acmeair is an account of 'acme' already" in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "[]", "7", "brands:", "brands: []", "? [a]\n: b", "a: &x [*x]", "!!python/object:os.system {}"]
)
def test_what_is_no_configuration_is_refused_in_words(text: str) -> None:
    with pytest.raises(ConfigError):
        parse(text)


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader(text: str) -> None:
    said: str | Config
    try:
        said = parse(text)
    except ConfigError as error:
        said = str(error)
    assert said


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"brands: \xe9")
    with pytest.raises(ConfigError, match="UTF-8 at byte 8"):
        load(tmp_path / "latin.yaml")


def test_a_thousand_accounts_are_taken() -> None:
    accounts = "\n".join(f"      - {{network: x, handle: acme{n}, owner: team{n % 40}}}" for n in range(1000))
    config = parse(f"brands:\n  - id: acme\n    name: Acme\n    accounts:\n{accounts}\n")
    assert len({account.id for account in config.brands[0].accounts}) == 1000
