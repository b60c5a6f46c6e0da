"""The operator's one YAML file: brands with their accounts, rules, policies and playbooks. Checked whole before it is taken;
an error names file, line, field and what would be right. Secrets never stand here: they come from the environment.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, ConfigDict, Field, model_validator

from services.config.connectors import Connector
from services.config.connectors.base import ConnectorSection
from services.config.quiet_hours import QuietHours
from services.config.rota import ALL, Promise, Responder, Schedule, Target, Urgency
from services.config.rule import TOPICS, Handle, Rule, Topic
from services.config.section import Section, Slug, Words
from services.contracts.base import AccountId, BrandId, Probability
from services.contracts.phrases import CANCELS, TopicFinder, finder_of
from services.contracts.post import SourcePolicy
from services.contracts.signal import Line
from services.contracts.spelling import fold


class Account(Section):
    """A brand's own handle on one network, and who answers for it."""

    network: Slug
    handle: Handle
    owner: Slug = Field(description="the responder or team that answers for this account")

    @property
    def id(self) -> AccountId:
        return AccountId(f"{self.network}:{self.handle.removeprefix('@').lower()}")


class Brand(Section):
    id: Slug
    name: Words
    names: tuple[Words, ...] = Field((), description="further ways people write it; matched whole, in any case")
    ambiguous: bool | tuple[Words, ...] = Field(
        False,
        description="names that are everyday words too: `true` for `name` and all `names` of one word, or a list of them. They "
        "count only with a handle, hashtag, surer name or product of the brand, a word for what companies do, or a capital",
    )
    products: tuple[Words, ...] = Field(
        (), description="words that show that an ambiguous name near them means the brand"
    )
    hashtags: tuple[Words, ...] = ()
    exclude: tuple[Words, ...] = Field((), description="phrases in which the name means something else")
    accounts: tuple[Account, ...] = ()
    line: Line = Field(Line(engagements=500), description="what this brand calls viral")
    negative_from: Probability = Field(
        0.0, description="a post counts as negative about the brand from this probability on"
    )
    surges: Literal["balanced", "more"] = Field(
        "balanced",
        description="how readily many complaints at once are reported as a surge; `more` also brings false ones",
    )
    usual_answer_minutes: Annotated[float, Field(ge=0, le=24 * 60)] = Field(
        15,
        description="how long it takes from a page to a public answer; it is due that long before the line may be crossed",
    )
    usual_negative_share: Probability = Field(
        0.3, description="negative share of replies and quotes, used until it has been learned"
    )
    pages_per_hour: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        None,
        description="incidents announced in an hour; further ones make one storm incident. SEV1 is always announced",
    )
    reopen_factor: Annotated[float, Field(gt=1, le=1000)] = Field(
        2,
        description="a story whose incident was resolved opens another one when its engagements, reach, negative replies or "
        "forecast are so many times what they were then",
    )
    promise: Promise = Field(Promise(), description="by when a complaint or a question is answered")

    @property
    def key(self) -> BrandId:
        return BrandId(self.id)

    @property
    def ambiguous_names(self) -> tuple[str, ...]:
        """The names that count only with a cue."""
        if isinstance(self.ambiguous, tuple):
            return self.ambiguous
        return tuple(name for name in (self.name, *self.names) if len(name.split()) == 1) if self.ambiguous else ()

    @model_validator(mode="after")
    def _ambiguous_are_names(self) -> Brand:
        names = {fold(name) for name in (self.name, *self.names)}
        for name in self.ambiguous_names:
            if fold(name) not in names:
                raise ValueError(f"`ambiguous` lists {name!r}, which is neither `name` nor one of `names`")
        return self


class Source(Section):
    """What a network's terms let leave the house, and what listens to it."""

    network: Slug
    policy: SourcePolicy = SourcePolicy.TEXT_ALLOWED
    listen: tuple[Connector, ...] = Field(
        (),
        max_length=100,
        description="connectors, each of a `kind`; without any, posts of the network come through the API",
    )


def _either_name(schema: dict[str, Any]) -> None:
    """Says in the JSON Schema that `targets` may be written as `endpoints`."""
    schema["properties"]["endpoints"] = schema["properties"]["targets"]
    schema["required"] = [name for name in schema.get("required", ()) if name != "targets"]
    schema["oneOf"] = [{"required": ["targets"]}, {"required": ["endpoints"]}]


class Step(Section):
    """Who is told, and how long after the step before it. The first step counts from the opening of the incident."""

    model_config = ConfigDict(json_schema_extra=_either_name)

    after_minutes: Annotated[float, Field(ge=0, le=7 * 24 * 60)] = 0
    targets: tuple[Target, ...] = Field(
        min_length=1, max_length=50, validation_alias=AliasChoices("targets", "endpoints")
    )


class Policy(Section):
    id: Slug
    steps: tuple[Step, ...] = Field(min_length=1, max_length=20)
    acknowledgement_minutes: Annotated[float, Field(ge=1, le=7 * 24 * 60)] = Field(
        30, description="how long an acknowledgement lasts; then the person is told again, and the policy goes on"
    )
    repeat: Annotated[int, Field(ge=0, le=5)] = Field(
        0, description="how often the steps are repeated while nobody acknowledges"
    )
    repeat_after_minutes: Annotated[float, Field(ge=1, le=7 * 24 * 60)] = Field(
        10, description="time from the last step to the first step of the next round"
    )
    fallback: tuple[Target, ...] = Field(
        (), max_length=50, description="told when nobody is on call, or when the last page cannot be delivered"
    )
    hasten: Literal["deadline", "never"] = Field(
        "deadline",
        description="`deadline`: in the first round, waits shrink in proportion where it would end after the answer is due; "
        "`never`: the waits are as they are written",
    )
    least_wait_minutes: Annotated[float, Field(ge=0, le=7 * 24 * 60)] | None = Field(
        None,
        description="no wait shrinks below this; by default a third of the written wait, and at least 3 minutes. A shorter "
        "wait that is written stands",
    )
    insist_minutes: Annotated[float, Field(ge=5, le=24 * 60)] | Literal["never"] = Field(
        15.0,
        description="when all rounds are done and nobody has acknowledged an incident of severity 1 or 2 that does not ease, "
        "its last step is repeated at this interval, and at once when the incident gets materially worse; or `never`",
    )

    @property
    def step_count(self) -> int:
        """How many steps all rounds have. Steps are numbered from 0 through all rounds."""
        return len(self.steps) * (1 + self.repeat)


class AtRunTime(Section):
    """Names of what is created in the console or through the API. The file may name them without declaring them."""

    responders: tuple[Slug, ...] = Field((), max_length=10_000)
    schedules: tuple[Slug, ...] = Field((), max_length=1000)
    policies: tuple[Slug, ...] = Field((), max_length=1000)


class Config(Section):
    """The whole file."""

    brands: tuple[Brand, ...] = Field(min_length=1, max_length=10_000)
    sources: tuple[Source, ...] = ()
    rules: tuple[Rule, ...] = ()
    policies: tuple[Policy, ...] = ()
    responders: tuple[Responder, ...] = Field((), max_length=10_000)
    urgent_severity: Annotated[int, Field(ge=1, le=4)] = Field(
        2,
        description="incidents of this severity or worse are urgent: they page people by their `notify.urgent`, all others "
        "by `notify.calm`",
    )
    only_confirmed_methods: bool = Field(
        False,
        description="page people only by methods that they confirmed: by a code, a drill, or an acknowledgement from there. "
        "Somebody who confirmed none that works is paged by the others all the same, and `firebreak doctor` says so",
    )
    schedules: tuple[Schedule, ...] = Field((), max_length=1000)
    quiet_hours: tuple[QuietHours, ...] = Field((), max_length=1000)
    endpoints: tuple[Slug, ...] | None = Field(
        None,
        max_length=10_000,
        description="names of endpoints that exist or will be created. If this stands here, any other name of an endpoint in "
        "the file is a mistake; without it, `firebreak doctor` and the start only warn of names that do not exist",
    )
    at_run_time: AtRunTime = Field(
        AtRunTime(),
        description="names of responders, schedules and policies that are created in the console or through the API, and that "
        "the file names; any other name that the file does not declare is a mistake",
    )
    playbooks: dict[Slug, str] = Field({}, description="Markdown steps; the first goes into every message")
    topics: dict[Slug, Topic] = Field(
        {}, description="what rules may ask for, besides safety, self_harm, recall, breach and legal, which ship"
    )

    operators: tuple[Slug, ...] = Field(
        ("operator",),
        max_length=50,
        description="endpoints that are told of trouble of the installation itself, such as a configuration file with mistakes",
    )

    def prepare(self) -> None:
        """Build what is looked up in the configuration, so that no step has to. Takes a second or so for 10,000 brands."""
        for brand in self.brands:
            self.topics_about(brand.key)
        for _built in (self._responders, self._schedules, self._owners, self._brands):
            pass

    @cached_property
    def every_topic(self) -> dict[str, tuple[str, ...]]:
        """The built-in topics, and those of the file, which replace a built-in one of the same name."""
        return {**TOPICS, **self.topics}

    def topics_about(self, brand: BrandId) -> Mapping[str, tuple[str, ...]]:
        """The topics as they are meant in posts about a brand: a word in one of its own names says nothing about it.

        Nearly all brands share `every_topic`; only those whose names hold a word of a topic have lists of their own.
        """
        known = self._topics_about.get(brand)
        if known is None:
            configured = self.brand(brand)
            names = [] if configured is None else [configured.name, *configured.names, *configured.hashtags]
            spoken = [self._finder.look(name.removeprefix("#")) for name in names]
            found = {topic for said in spoken for topic in (*said.topics, *said.hints)}
            own = tuple(CANCELS + name.removeprefix("#") for name in names)
            topics = self.every_topic
            known = {**topics, **{topic: (*topics[topic], *own) for topic in found}} if found else topics
            self._topics_about[brand] = known
        return known

    @cached_property
    def _topics_about(self) -> dict[BrandId, Mapping[str, tuple[str, ...]]]:
        return {}

    @cached_property
    def _finder(self) -> TopicFinder:
        return finder_of(self.every_topic)

    def brand(self, brand: BrandId) -> Brand | None:
        return self._brands.get(brand)

    def responder(self, name: str) -> Responder | None:
        return self._responders.get(name)

    def known_as(self, identity: str) -> Responder | None:
        """Returns the responder who is known elsewhere as this, such as `telegram:12345`."""
        return self._identities.get(identity)

    def schedule(self, name: str) -> Schedule | None:
        return self._schedules.get(name)

    def policy(self, name: str) -> Policy:
        """Returns the policy with this id. One that is to be created at run time and is not there tells every endpoint: too
        many people rather than nobody."""
        found = next((policy for policy in self.policies if policy.id == name), None)
        return found or Policy(id=name, steps=(Step(targets=(ALL,)),))

    def with_rota(
        self, responders: tuple[Responder, ...], schedules: tuple[Schedule, ...], policies: tuple[Policy, ...]
    ) -> Config:
        """Returns the same configuration with other people, schedules and policies. What was prepared of the brands is kept."""
        parts = {"responders": responders, "schedules": schedules, "policies": policies}
        other = self.model_copy(update=parts)
        for looked_up in ("_responders", "_schedules", "_identities"):
            other.__dict__.pop(looked_up, None)
        return other

    def urgency(self, severity: int) -> Urgency:
        """Returns which notification rules count for an incident of this severity."""
        return Urgency.URGENT if severity <= self.urgent_severity else Urgency.CALM

    def owner(self, account: AccountId) -> str | None:
        """Returns who answers for this account of a brand."""
        return self._owners.get(account)

    def paged_for(self, brands: Collection[str]) -> frozenset[str]:
        """Returns the targets that the policies of the rules for these brands name."""
        policies = {rule.policy for rule in self.rules if not rule.brands or not set(brands).isdisjoint(rule.brands)}
        return frozenset(
            target
            for policy in self.policies
            if policy.id in policies
            for target in (*policy.fallback, *(target for step in policy.steps for target in step.targets))
        )

    def owners_elsewhere(self) -> list[tuple[AccountId, str]]:
        """Returns the accounts whose owner is neither a responder nor a schedule of the file, with that owner. Those
        that the file says are created at run time are not among them."""
        later = {*self.at_run_time.responders, *self.at_run_time.schedules}
        here = self._responders.keys() | self._schedules.keys() | later
        return [(account, owner) for account, owner in self._owners.items() if owner not in here]

    @cached_property
    def _brands(self) -> dict[str, Brand]:
        return {brand.id: brand for brand in self.brands}

    @cached_property
    def _identities(self) -> dict[str, Responder]:
        # The file's people come first, and what the file says counts.
        return {identity: responder for responder in reversed(self.responders) for identity in responder.known_as}

    @cached_property
    def _responders(self) -> dict[str, Responder]:
        return {responder.id: responder for responder in self.responders}

    @cached_property
    def _schedules(self) -> dict[str, Schedule]:
        return {schedule.id: schedule for schedule in self.schedules}

    @cached_property
    def _owners(self) -> dict[AccountId, str]:
        return {account.id: account.owner for brand in self.brands for account in brand.accounts}

    @property
    def networks(self) -> frozenset[str]:
        """Every network that the file mentions."""
        accounts = (account.network for brand in self.brands for account in brand.accounts)
        return frozenset(accounts) | {source.network for source in self.sources}

    @property
    def connectors(self) -> Mapping[str, tuple[str, ConnectorSection]]:
        """The name of each connector, its network and what is said of it."""
        return {one.name: (source.network, one) for source in self.sources for one in source.listen}

    def source_policy(self, network: str) -> SourcePolicy:
        return next((s.policy for s in self.sources if s.network == network), SourcePolicy.TEXT_ALLOWED)
