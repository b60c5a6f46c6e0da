"""The configuration is checked whole, and an error says where it stands and what would be right."""

from __future__ import annotations

from pathlib import Path

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.base.errors import ConfigError
from services.config.loading import load, parse
from services.config.model import Config
from services.config.yaml_reading import read
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


DECLARED = GOOD + "endpoints: [front, care]\n"


def test_a_file_that_declares_its_endpoints_takes_those_names_and_no_other() -> None:
    assert parse(DECLARED).endpoints == ("front", "care")
    assert parse(GOOD).endpoints is None, "without the list any name may be created later"
    parse(DECLARED.replace("endpoints: [front]}", "endpoints: [front, all, owner]}"))


@pytest.mark.parametrize(
    ("old", "new", "place", "words"),
    [
        ("{endpoints: [front]}", "{endpoints: [fornt]}", "policies.0.steps.0.targets.0", "did you mean 'front'"),
        ("[{endpoints: [front]}]", "[{endpoints: [front]}], fallback: [xyz]", "policies.0.fallback.0", "care, front"),
        ("owner: care", "owner: cure", "brands.0.accounts.0.owner", "did you mean 'care'"),
        (
            "{endpoints: [front]}",
            "{endpoints: [dana]}",
            "policies.0.steps.0.targets.0",
            "did you mean 'responder:dana'",
        ),
        ("methods: [front]", "methods: [frnt]", "responders.0.methods.0", "did you mean 'front'"),
        ("methods: [front]", "methods: [front], digest: mail", "responders.0.digest", "no endpoint 'mail'"),
        ("sources:", "operators: [ops]\nsources:", "operators.0", "no endpoint 'ops'"),
    ],
)
def test_a_name_that_is_not_declared_is_an_error_with_line_and_hint(old: str, new: str, place: str, words: str) -> None:
    text = DECLARED + "responders:\n  - {id: dana, methods: [front]}\n"
    parse(text)
    assert old in text
    with pytest.raises(ConfigError) as caught:
        parse(text.replace(old, new), "my.yaml")
    (said,) = str(caught.value).splitlines()
    assert place in said
    assert words in said
    parse(text.replace(old, new).replace("endpoints: [front, care]\n", ""))


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("methods: [front]", "methods: [front, {}]", "responders.0.methods.1"),
        ("methods: [front]", "methods: [front], digest: {}", "responders.0.digest"),
        ("owner: care", "owner: {}", "brands.0.accounts.0.owner"),
        ("sources:", "operators: [{}]\nsources:", "operators.0"),
        ("sources:", "endpoints: [front, care, {}]\nsources:", "endpoints.2"),
    ],
)
def test_a_name_that_no_endpoint_can_have_is_an_error_wherever_it_stands(old: str, new: str, place: str) -> None:
    text = GOOD + "responders:\n  - {id: dana, methods: [front]}\n"
    parse(text)
    assert old in text
    with pytest.raises(ConfigError) as caught:
        parse(text.replace(old, new.replace("{}", "all")), "my.yaml")
    (said,) = str(caught.value).splitlines()
    assert f"{place}: 'all' stands for every endpoint in a policy, and can be the name of none" in said


KNOWN = """\
responders:
  - {id: dana, methods: [front], known_as: ["sms:+447700900123", "telegram:4711", "slack:U2147483697", "pagerduty:PLH1HKV"]}
  - {id: lee, methods: [care], known_as: ["sms:+447700900124"]}
"""


def test_who_acts_elsewhere_is_one_responder_here() -> None:
    config = parse(GOOD + KNOWN)
    found = [config.known_as(one) for one in ("telegram:4711", "sms:+447700900124")]
    assert [one.id for one in found if one is not None] == ["dana", "lee"]
    assert config.known_as("telegram:4712") is None
    with pytest.raises(ConfigError, match=r"responders.1.known_as.0: 'sms:\+447700900123' is dana already"):
        parse(GOOD + KNOWN.replace("900124", "900123"))


@pytest.mark.parametrize(
    "identity", ["sms:07700900123", "sms:447700900123", "telegram:@dana", "mail:dana@example.com", "telegram:", "4711"]
)
def test_what_nobody_is_known_as_is_refused(identity: str) -> None:
    with pytest.raises(ConfigError, match="known_as"):
        parse(GOOD + KNOWN.replace("telegram:4711", identity))


ROTA = """\
responders:
  - {id: dana, methods: [front]}
schedules:
  - id: night
    zone: Europe/Oslo
    layers: [{id: base, rotation: daily, begins: 2026-01-05T09:00, responders: [dana]}]
quiet_hours:
  - {id: q, windows: [{begins: 18:00, ends: 8:00}]}
"""


@pytest.mark.parametrize(
    ("text", "twice", "lines"),
    [
        (GOOD + "rules:\n  - {id: other, level: watch, policy: desk}\n", "rules", (9, 15)),
        (GOOD.replace("    name: Acme Air\n", "    name: Acme Air\n    name: Acme\n"), "brands.0.name", (3, 4)),
        (GOOD.replace("level: likely,", "level: likely, level: watch,"), "rules.0.level", (10, 10)),
        (GOOD + '  storm: "2. Wait."\n', "playbooks.storm", (14, 15)),
    ],
)
def test_a_key_that_stands_twice_is_told_with_both_lines(text: str, twice: str, lines: tuple[int, int]) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, "my.yaml")
    assert str(caught.value) == f"my.yaml:{lines[1]}: {twice}: stands here already on line {lines[0]}; keep one of them"


def test_a_key_that_an_anchor_brings_may_be_said_again() -> None:
    text = GOOD.replace(
        "rules:\n", "rules:\n  - &usual {id: first, level: watch, policy: desk}\n  - {<<: *usual, id: next}\n"
    )
    assert [(rule.id, rule.level) for rule in parse(text).rules][:2] == [("first", "watch"), ("next", "watch")]


@pytest.mark.parametrize("wrong", ["8", "1080", "8.30", "08", "25:00", "8:60", "true", "[8]"])
def test_a_time_of_day_that_could_be_meant_otherwise_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigError, match=r"quiet_hours\.0\.windows\.0\.begins: .*write a time of day like"):
        parse(GOOD + ROTA.replace("18:00", wrong))


@pytest.mark.parametrize("right", ["18:00", '"18:00"', "'18:00'"])
def test_a_time_of_day_means_what_it_looks_like_in_quotes_or_not(right: str) -> None:
    (window,) = parse(GOOD + ROTA.replace("18:00", right)).quiet_hours[0].windows
    assert (window.begins, window.ends) == (18 * 60, 8 * 60)


@pytest.mark.parametrize("word", ["no", "on", "off", "yes", "y", "n"])
def test_a_word_that_old_yaml_takes_for_true_or_false_stays_a_word(word: str) -> None:
    text = GOOD.replace("level: likely", f"level: likely, languages: [no], brands: [{word}]")
    text = text.replace("  - id: acme\n", f"  - {{id: {word}, name: Other}}\n  - id: acme\n")
    assert parse(text).rules[0].brands == (word,)


@pytest.mark.parametrize(
    ("old", "new", "alike"),
    [
        ("level: likely", "levl: likely", "level"),
        ("level: likely", "level: likely, complaint_severty: 2", "complaint_severity"),
        ("endpoints: [front]", "endpionts: [front]", "endpoints"),
        ("    name: Acme Air\n", "    name: Acme Air\n    hashtag: [acme]\n", "hashtags"),
        ("engagements: 200", "engagement: 200", "engagements"),
        ("sources:", "source:", "sources"),
    ],
)
def test_a_misspelled_field_is_answered_with_the_one_that_was_meant(old: str, new: str, alike: str) -> None:
    with pytest.raises(ConfigError, match=f"did you mean `{alike}`"):
        parse(GOOD.replace(old, new))


def test_to_group_by_nothing_is_not_to_group() -> None:
    assert parse(GOOD.replace("level: likely", "level: likely, group_by: []")).rules[0].group_by == ()


def test_the_file_that_ships_and_the_drills_are_valid_by_the_schema_that_doctor_prints() -> None:
    schema = jsonschema_rs.validator_for(Config.model_json_schema())
    root = Path(__file__).parents[3]
    shipped = read((root / "deploy/firebreak.yaml").read_text(encoding="utf-8"), "shipped").content
    for content in (shipped, read(GOOD + ROTA, "rota").content):
        assert [error.message for error in schema.iter_errors(content)] == []
    wrong = read(GOOD.replace("engagements: 200", "engagements: many"), "wrong").content
    assert [error.message for error in schema.iter_errors(wrong)]


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
