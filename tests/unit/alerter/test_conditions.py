"""Every condition of a rule holds for what it asks for and for nothing else, and says why."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerter.rules import decide
from alerter.rules.conditions import Facts, Opening, spoken_of
from alerter.rules.severity import Grade, grade
from services.config.loading import load
from services.config.rule import CONDITIONS, TOPICS
from services.contracts.base import AccountId
from services.contracts.signal import FlaggedBy, Interval, Level, Line, SurgePhase
from tests.unit.alerter import make


def fires(signal: Opening, /, **conditions: Any) -> decide.Considered:
    rule = make.rule(**{"level": None, **conditions})
    return decide.consider(rule, signal, grade(signal, make.LINE, None), None)


big = Interval(low=900, median=1500, high=3000)
german = make.card(language="de-AT", account=AccountId("bsky:acme"), followers=5_000)


@pytest.mark.parametrize(
    ("conditions", "holds", "does_not", "words"),
    [
        ({"predicted_size": 1500}, make.forecast(final_size=big), make.forecast(), "1,500 engagements are forecast"),
        (
            {"audience": 9_000},
            make.forecast(),
            make.forecast(evidence=make.evidence(reach=8_999)),
            "9,000 followers reached",
        ),
        ({"audience": 40}, make.negative(), make.negative(post="p2", severity=None).model_copy(
            update={"post": make.card(followers=None)}), "40 followers reached"),
        ({"mood": 0.8}, make.forecast(mood=make.mood(0.8)), make.forecast(mood=make.mood(0.79)), "80 % of replies"),
        ({"mood": 0.1}, make.forecast(mood=make.mood(0.8)), make.forecast(mood=None), "80 %"),
        ({"mood": 0.0}, make.forecast(mood=make.mood()), make.forecast(mood=make.mood(scored=0)), "negative"),
        ({"severity": 2}, make.forecast(level=Level.IMMINENT), make.forecast(), "it is SEV2 (the rule asks for SEV2 or worse)"),
        ({"complaint": 0.8}, make.negative(), make.negative(complaint=0.7), "80 % sure that it is a complaint"),
        ({"complaint": 0.0}, make.negative(), make.forecast(), "complaint"),
        ({"languages": ("de",), "severity": 4}, make.forecast(root=german), make.forecast(), "the language is de"),
        ({"accounts": ("bsky:@Acme",), "severity": 4}, make.forecast(root=german), make.forecast(root=None), "bsky:acme"),
        ({"sources": ("bsky",), "severity": 4}, make.negative(), make.surge(), "the source is bsky"),
        (
            {"sources": ("x",), "surge_factor": 2},
            make.surge(networks={"x": 6, "bsky": 4}),
            make.surge(networks={"x": 4, "bsky": 5, "t": 1}),
            "the source is x",
        ),
        (
            {"languages": ("en",), "surge_factor": 2},
            make.surge(languages={"en": 10}),
            make.surge(languages={"de": 9, "en": 1}),
            "the language is en",
        ),
        ({"topics": ("recall",)}, make.surge(terms=("recall", "toy")), make.surge(terms=("toy",)), "mentions recall"),
    ],
)  # fmt: skip
def test_a_condition_holds_for_what_it_asks_for(
    conditions: dict[str, Any], holds: Opening, does_not: Opening, words: str
) -> None:
    considered = fires(holds, **conditions)
    assert considered.fires, considered.because
    assert words in considered.because
    refused = fires(does_not, **conditions)
    assert not refused.fires
    assert refused.because


@pytest.mark.parametrize("name", ["level", "probability", "predicted_size", "audience", "mood", "complaint_severity"])
def test_a_surge_that_ended_or_a_story_that_eases_fires_nothing_by_its_size(name: str) -> None:
    asked: dict[str, Any] = {name: {"level": Level.WATCH}.get(name, 0 if name != "audience" else 1)}
    if name == "predicted_size":
        asked = {name: 1}
    assert not fires(make.surge(SurgePhase.END), **asked).fires
    if name != "complaint_severity":
        assert not fires(make.forecast(level=Level.EASING, mood=make.mood()), **asked).fires


def saying(text: str) -> Opening:
    return make.forecast(root=make.card(text=text))


def spoken(words: Sequence[str], text: str) -> str | None:
    return spoken_of("it", Facts(saying(text), None, 4, {"it": words}))


@pytest.mark.parametrize(
    ("text", "topic"),
    [
        ("The toaster caught FIRE in my kitchen", "safety"),
        ("it exploded", "safety"),
        ("two people were injured", "safety"),
        ("they recalled my car", "recall"),
        ("I was \uff28\uff21\uff23\uff2b\uff25\uff24", "breach"),
        ("a data\n leak again", "breach"),
    ],
)
def test_topics_are_found_as_whole_words_in_any_case(text: str, topic: str) -> None:
    assert spoken(TOPICS[topic], text) is not None
    assert fires(saying(text), topics=(topic,)).fires
    assert fires(make.negative().model_copy(update={"post": make.card(text=text)}), topics=(topic,)).fires
    assert fires(make.surge(exemplars=(make.card(text=text),)), topics=(topic,)).fires


@pytest.mark.parametrize(
    "text", ["You should be fired", "firefox is slow", "smoked salmon", "I recall-ed nothing?", ""]
)
def test_words_inside_of_words_do_not_count(text: str) -> None:
    assert spoken(("fire", "smoke", "recalled"), text) is None


def test_a_topic_may_be_one_s_own_and_the_word_that_is_named_is_never_the_post_s() -> None:
    rule = make.rule(level=None, topics=("luggage",))
    signal = saying("my SUITCASES are gone, call 0171 2345")
    graded = grade(signal, make.LINE, None)
    considered = decide.consider(rule, signal, graded, None, {"luggage": ("suitcase*",)})
    assert considered.because == "it mentions luggage (suitcase*)"


@given(st.text(max_size=300))
def test_no_text_breaks_the_search(text: str) -> None:
    for words in TOPICS.values():
        found = spoken(words, text)
        assert found is None or found in words


def test_a_rule_raises_what_it_fires_at() -> None:
    safety = make.rule(id="safety", level=None, topics=("safety",), raises_to=1)
    decision = decide.decide(saying("it caught fire!"), [safety], make.LINE, None, make.NOW)
    assert decision is not None
    assert (decision.grade.severity, decision.grade.floor) == (1, 1)
    assert "raised from SEV3 by rule safety" in decision.reason


def test_a_later_rule_raises_a_story_that_another_one_found() -> None:
    asked = [make.rule(), make.rule(id="safety", level=None, topics=("safety",), raises_to=1)]
    signal = saying("engine on fire")
    graded = grade(signal, make.LINE, None)
    raised = decide.raised(signal, asked, graded, None)
    assert (raised.severity, raised.floor) == (1, 1)
    assert "rule safety" in raised.words
    assert decide.raised(saying("slow"), asked, graded, None) == graded
    assert decide.raised(signal, [asked[1].model_copy(update={"brands": ("other",)})], graded, None) == graded


@pytest.mark.parametrize("severity", [1, 2, 3, 4])
def test_raising_never_lowers(severity: int) -> None:
    mild = make.rule(id="mild", level=None, topics=("safety",), raises_to=4)
    graded = Grade(severity, "")
    assert decide.raised(saying("fire"), [mild], graded, None).severity == severity


def test_a_flagged_post_fires_rules_about_its_topics_and_no_others() -> None:
    calm = make.flagged()
    considered = fires(calm, topics=("recall", "safety"))
    assert considered.because == "it mentions safety (smoke)"
    assert not fires(calm, topics=("recall",)).fires
    assert not fires(calm, severity=4).fires, "words alone are no complaint"
    assert not fires(calm, topics=("safety",), complaint=0.5).fires, "a rule may still ask for one"
    assert fires(make.flagged(complaint=0.6), topics=("safety",), complaint=0.5).fires
    assert not fires(calm, topics=("safety",), languages=("de",)).fires
    read = fires(make.flagged(by=FlaggedBy.MODEL, topics={"safety": ()}), topics=("safety",))
    assert read.because == "it mentions safety (as the model reads it)"


def test_a_hint_is_enough_for_a_rule_that_asks_for_more_than_words() -> None:
    hinted = make.flagged(topics={}, hints={"legal": ("journalist*",)}, complaint=0.9)
    assert not fires(hinted, topics=("legal",)).fires
    assert fires(hinted, topics=("legal",), complaint=0.5).because.startswith("90 % sure that it is a complaint")
    assert not fires(hinted, topics=("recall",), complaint=0.5).fires
    asked = saying("I am with a tv channel, any comment?")
    assert not fires(asked, level=None, topics=("legal",)).fires
    assert fires(asked, level=None, topics=("legal",), probability=0.5).fires


@pytest.mark.parametrize(
    ("topics", "raises_to", "severity"),
    [(("safety",), None, 3), (("safety",), 2, 2), (("self_harm", "own"), None, 3), (("own",), None, 4)],
)
def test_a_rule_says_what_words_are_worth(topics: tuple[str, ...], raises_to: int | None, severity: int) -> None:
    asked = make.rule(id="danger", level=None, topics=topics, raises_to=raises_to)
    signal = make.flagged(topics=dict.fromkeys(topics, ("word",)))
    decision = decide.decide(signal, [asked], make.LINE, None, make.NOW, {**TOPICS, "own": ("word",)})
    assert decision is not None
    assert decision.grade.severity == severity


def test_a_flagged_complaint_is_as_bad_as_the_complaint() -> None:
    assert grade(make.flagged(severity=4), make.LINE, None).severity == 2
    assert grade(make.flagged(severity=0), make.LINE, None).severity == 3
    assert grade(make.flagged(), Line(audience=40), None).severity == 2, "the author alone reaches so many"


def test_the_shipped_rule_about_danger_asks_for_topics_alone() -> None:
    config = load(Path(__file__).parents[3] / "deploy" / "firebreak.yaml")
    danger = next(rule for rule in config.rules if rule.id == "danger")
    assert set(danger.topics) == set(TOPICS) == {"safety", "self_harm", "recall", "breach", "legal"}
    assert all(getattr(danger, name) is None for name in CONDITIONS)
    for topic in TOPICS:
        signal = make.flagged(topics={topic: (TOPICS[topic][0],)})
        decision = decide.decide(signal, config.rules, make.LINE, None, make.NOW)
        assert decision is not None
        assert (decision.rule.id, decision.grade.severity) == ("danger", 2)


@pytest.mark.parametrize(
    ("tag", "wanted"),
    [("nb-NO", "no"), ("NO", "nb"), ("pt_BR", "pt"), ("iw", "he"), ("fil-PH", "tl"), ("de-AT", "de-DE")],
)
def test_languages_are_compared_whatever_their_spelling(tag: str, wanted: str) -> None:
    rule = {"languages": (wanted,), "severity": 4}
    assert fires(make.forecast(root=make.card(language=tag)), **rule).fires
    assert fires(make.surge(languages={tag: 5, "en": 4}), **rule).fires
    assert not fires(make.forecast(root=make.card(language="und")), **rule).fires


def test_spellings_of_one_language_count_together_in_a_surge() -> None:
    assert fires(make.surge(languages={"nb-NO": 3, "nn": 3, "en": 5}), languages=("no",), severity=4).fires


def test_what_was_not_read_fires_rules_about_languages_and_audience_and_about_words() -> None:
    signal = make.unread()
    assert fires(signal, languages=("ms",), audience=40).fires, "what it was found to be counts, not its tag"
    assert not fires(signal, languages=("en",), audience=40).fires
    assert not fires(signal, languages=("ms",), audience=41).fires
    assert fires(make.unread().model_copy(update={"post": make.card(text="charger meletup")}), topics=("safety",)).fires
    for name in ("complaint", "complaint_severity", "mood"):
        assert not fires(signal, **{name: 0}).fires
    assert grade(signal, make.LINE, None).severity == 4


def test_a_surge_of_unread_posts_is_never_worse_than_three_by_itself() -> None:
    graded = grade(make.surge(factor=40, unread=True), make.LINE, None)
    assert (graded.severity, graded.volume) == (3, False)
    assert "could not be read" in graded.words
    assert grade(make.surge(factor=40), make.LINE, None).severity == 1
    assert "unread posts" in fires(make.surge(unread=True), surge_factor=2).because


JOURNALIST: dict[str, Any] = {"asked": True, "verified": True, "audience": 48_000, "topics": ("legal",)}


def test_a_rule_may_ask_for_the_question_of_a_journalist() -> None:
    considered = fires(make.asked(), **JOURNALIST)
    assert considered.fires, considered.because
    for words in ("it asks something", "vouches for the author", "48,000 followers", "legal (press office)"):
        assert words in considered.because
    for less in (make.asked(verified=None), make.asked(verified=False), make.asked(followers=47_999)):
        assert not fires(less, **JOURNALIST).fires
    assert grade(make.asked(), make.LINE, None).severity == 4


def test_a_question_fires_only_rules_that_ask_for_questions() -> None:
    for conditions in ({"severity": 4}, {"audience": 1}, {"topics": ("legal",)}, {"verified": True}):
        assert not fires(make.asked(), **conditions).fires
    assert fires(make.asked(), asked=True).fires


def test_an_angry_or_unread_question_is_a_question_too() -> None:
    for signal in (make.negative(), make.unread()):
        asking = signal.model_copy(update={"post": make.card(text="why is it still down?")})
        assert fires(asking, asked=True).fires
        assert not fires(signal, asked=True).fires
    assert not fires(make.forecast(root=make.card(text="why?")), asked=True).fires
    assert not fires(make.surge(), asked=True).fires


def test_the_network_vouches_for_a_story_by_its_first_author_or_a_loud_voice() -> None:
    assert fires(make.forecast(root=make.card(verified=True)), verified=True).fires
    assert fires(make.forecast(loudest=(make.card("p2", verified=True),)), verified=True).fires
    assert not fires(make.forecast(), verified=True).fires
    assert not fires(make.surge(exemplars=(make.card(verified=True),)), verified=True).fires
