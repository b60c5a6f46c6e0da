"""Items of the database make one configuration with the file: the file comes first, and mistakes are told by their place."""

from __future__ import annotations

from typing import Any

import pytest

from alerter.console.person_form import document_in, fields_of
from services.config.declared import Item, RotaPart, by_ids, missing, naming, naming_endpoint, read_item, together
from services.config.loading import parse
from services.config.rota import Responder, Schedule

FILE = """
brands: [{id: acme, name: Acme, accounts: [{network: bsky, handle: acme, owner: lee}]}]
responders: [{id: lee, methods: [lee-push]}]
policies: [{id: default, steps: [{targets: ["responder:lee", "schedule:nights", desk]}]}]
rules: [{id: viral, level: likely, policy: default}]
at_run_time: {schedules: [nights]}
"""
LAYER = {"id": "all", "rotation": "daily", "begins": "2026-01-05T09:00", "responders": ["lee"]}


def item(part: RotaPart, **document: Any) -> Item:
    found = read_item(part, document)
    assert not isinstance(found, list), found
    return found


def nights(*people: str) -> Item:
    return item(RotaPart.SCHEDULES, id="nights", zone="UTC", layers=[{**LAYER, "responders": people}])


def test_without_items_the_configuration_is_the_files_own() -> None:
    config = parse(FILE)
    assert together(config, []).config is config
    assert missing(config) == [(RotaPart.SCHEDULES, "nights")]


def test_items_are_found_where_the_files_are_and_the_brands_are_not_prepared_again() -> None:
    config = parse(FILE)
    config.prepare()
    whole = together(config, [nights("lee", "dana"), item(RotaPart.RESPONDERS, id="dana", methods=["dana-push"])])
    assert whole.mistakes == ()
    assert isinstance(whole.config.schedule("nights"), Schedule)
    assert isinstance(whole.config.responder("dana"), Responder)
    assert config.responder("dana") is None, "the file's own configuration stays what it was"
    assert whole.config.topics_about(whole.config.brands[0].key) is config.topics_about(config.brands[0].key)
    assert missing(whole.config) == []


def test_what_the_file_declares_hides_an_item_of_the_same_id() -> None:
    whole = together(parse(FILE), [item(RotaPart.RESPONDERS, id="lee", methods=["other"]), nights("lee")])
    assert whole.hidden == ((RotaPart.RESPONDERS, "lee"),)
    lee = whole.config.responder("lee")
    assert lee is not None
    assert lee.methods == ("lee-push",)


def test_a_mistake_is_told_by_the_item_it_is_in() -> None:
    whole = together(parse(FILE), [nights("lee", "nobody")])
    (mistake,) = whole.mistakes
    assert mistake.words == "schedules.nights.layers.0.responders.1: no responder 'nobody'; there are lee"


def test_an_id_cannot_be_a_persons_and_a_schedules() -> None:
    (mistake,) = together(parse(FILE), [item(RotaPart.RESPONDERS, id="nights", methods=["x"]), nights("lee")]).mistakes
    assert mistake.place == ("schedules", "nights", "id")


def test_endpoints_of_items_need_not_stand_in_the_files_list() -> None:
    config = parse(FILE + "endpoints: [desk, lee-push]\n")
    whole = together(config, [nights("lee"), item(RotaPart.RESPONDERS, id="dana", methods=["dana-push"])])
    assert whole.mistakes == ()


@pytest.mark.parametrize(
    ("part", "name", "places"),
    [
        (RotaPart.RESPONDERS, "lee", ["policies.default.steps.0", "schedules.nights.layers.0.responders",
                                      "brands.acme.accounts.0.owner"]),
        (RotaPart.SCHEDULES, "nights", ["policies.default.steps.0"]),
        (RotaPart.POLICIES, "default", ["rules.viral.policy"]),
        (RotaPart.RESPONDERS, "nobody", []),
    ],
)  # fmt: skip
def test_every_place_that_names_an_item_is_found(part: RotaPart, name: str, places: list[str]) -> None:
    config = together(parse(FILE), [nights("lee")]).config
    assert [".".join(map(str, place)) for place in naming(config, part, name)] == places


def test_every_place_that_names_an_endpoint_is_found() -> None:
    config = parse(FILE + "operators: [desk]\n")
    assert naming_endpoint(config, "desk") == [("policies", "default", "steps", 0, "targets", 2), ("operators", 0)]
    assert by_ids(config, ("brands",)) == ("brands",)


def test_more_items_than_there_may_be_are_a_mistake() -> None:
    many = [item(RotaPart.POLICIES, id=f"p{n}", steps=[{"targets": ["desk"]}]) for n in range(1000)]
    (mistake,) = together(parse(FILE), [*many, nights("lee")]).mistakes
    assert mistake.words == "policies: 1,001 are more than the 1,000 that there may be"


def test_who_acts_elsewhere_is_known_whoever_was_asked_for_before_and_the_file_comes_first() -> None:
    config = parse(FILE.replace("methods: [lee-push]", "methods: [lee-push], known_as: ['sms:+447700900001']"))
    assert config.known_as("sms:+447700900002") is None
    dana = item(
        RotaPart.RESPONDERS, id="dana", methods=["dana-push"], known_as=["sms:+447700900002", "sms:+447700900001"]
    )
    whole = together(config, [dana]).config
    found = [whole.known_as(one) for one in ("sms:+447700900002", "sms:+447700900001")]
    assert [one.id for one in found if one is not None] == ["dana", "lee"]


def test_a_form_holds_all_that_a_person_is() -> None:
    document = {
        "id": "dana",
        "name": "Dana",
        "digest": "mail",
        "zone": "Europe/Berlin",
        "methods": ["push", "sms"],
        "known_as": ["sms:+447700900001", "telegram:7"],
        "notify": {"urgent": [{"after_minutes": 3.0, "method": "sms"}]},
    }
    assert document.keys() == Responder.model_fields.keys()
    assert document_in(fields_of(document)) == document
