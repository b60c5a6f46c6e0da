"""From a policy's target to a person: schedules, overrides, owners of accounts, and what leads to nobody."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from alerter.oncall.responders import Contact, Directory, Nobody, account_of
from alerter.oncall.shifts import Override
from services.config.model import Config
from services.contracts.base import AccountId, BrandId
from tests.unit.alerter import make
from tests.unit.alerter.make import NOW

PEOPLE = [
    {"id": "dana", "name": "Dana Ito", "methods": ["dana-push", "dana-sms"], "digest": "dana-mail"},
    {"id": "lee", "methods": ["lee-push"]},
]
LAYER = {"id": "base", "rotation": "daily", "begins": "2026-03-01T09:00", "responders": ["dana", "lee"]}
NIGHT = {"id": "night", "zone": "Europe/Berlin", "layers": [LAYER]}


def directory(*overrides: Override, **more: Any) -> Directory:
    config = make.config(responders=PEOPLE, schedules=[NIGHT], **more)
    return Directory(config, overrides)


def test_a_schedule_is_whoever_is_on_call_and_an_override_counts_at_once() -> None:
    assert directory().find("schedule:night", None, NOW) == Contact(
        "schedule:night", "Dana Ito (on call for night)", ("dana-push", "dana-sms"), "dana-mail", "dana"
    )
    swap = Override("o", "night", NOW, NOW + timedelta(hours=1), "lee", None, "dana", "", NOW)
    found = directory(swap).find("schedule:night", None, NOW)
    assert isinstance(found, Contact)
    assert found.methods == ("lee-push",)


def test_what_leads_to_nobody_says_why() -> None:
    early = NOW - timedelta(days=1)
    assert directory().find("schedule:night", None, early) == Nobody(
        "schedule:night", "nobody is on call for schedule night"
    )
    for target in ("responder:gone", "schedule:gone", "owner"):
        assert isinstance(directory().find(target, AccountId("x:acme"), NOW), Nobody)


def test_an_owner_may_be_a_person_a_schedule_or_an_endpoint() -> None:
    accounts = [{"network": "x", "handle": f"acme{owner}", "owner": owner} for owner in ("dana", "night", "desk")]
    brands = [{"id": "acme", "name": "Acme", "accounts": accounts}]
    of = directory(brands=brands)
    found = [of.find("owner", AccountId(f"x:acme{owner}"), NOW) for owner in ("dana", "night", "desk")]
    assert [f.methods for f in found if isinstance(f, Contact)] == [("dana-push", "dana-sms")] * 2 + [("desk",)]


def test_each_of_a_thousand_accounts_leads_to_its_own_owner() -> None:
    people = [{"id": f"r{n}", "methods": [f"r{n}-push"]} for n in range(200)]
    brands = [
        {
            "id": f"b{b}",
            "name": f"Brand {b}",
            "accounts": [
                {"network": net, "handle": f"h{b}-{net}", "owner": f"r{(b * 5 + n) % 200}"}
                for n, net in enumerate(NETS)
            ],
        }
        for b in range(200)
    ]
    config = Config.model_validate(make.config().model_dump() | {"brands": brands, "responders": people, "rules": []})
    of, wrong, seen = Directory(config), [], set()
    for b in range(200):
        for n, net in enumerate(NETS):
            card = make.card(network=net, account=AccountId(f"{net}:h{b}-{net}"))
            account = account_of(config.brand(BrandId(f"b{b}")), [card])
            found = of.find("owner", account, NOW)
            seen.add(account)
            if not isinstance(found, Contact) or found.methods != (f"r{(b * 5 + n) % 200}-push",):
                wrong.append((b, net))
    assert wrong == []
    assert len(seen) == 1000


NETS = ("x", "bsky", "reddit", "mastodon", "threads")


def test_a_post_that_names_no_account_goes_to_the_one_on_its_network() -> None:
    accounts = [{"network": net, "handle": "acme", "owner": "dana"} for net in ("x", "bsky")]
    brand = make.config(brands=[{"id": "acme", "name": "Acme", "accounts": accounts}]).brand(BrandId("acme"))
    assert account_of(brand, [make.card(account=None)]) == "bsky:acme"
    assert account_of(brand, [make.card(account=AccountId("bsky:other"), network="reddit")]) == "x:acme"
    assert account_of(brand, [make.card(account=AccountId("x:acme"))]) == "x:acme"
    assert account_of(brand, []) == "x:acme"
    assert account_of(None, [make.card()]) is None
