"""The judge is judged: whatever is lost, doubled or miscounted in a night that was exact, the comparison says so."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import pytest

from tests.oracle.compare import Sight, differences, reference_of
from tests.oracle.scenes import played
from tests.oracle.simulator import BRANDS, simulate
from tests.oracle.stage import Stage, assert_exact, stage_at


@pytest.fixture(scope="module")
def sight(tmp_path_factory: pytest.TempPathFactory) -> Sight:
    async def play(stage: Stage) -> Sight:
        await stage.append(simulate(2, 300).messages())
        scorer = stage.actor("scorer")
        await scorer.start()
        return await stage.finish(scorer)

    return played({"night": play}, lambda _: stage_at(tmp_path_factory.mktemp("judge"))).outcome("night")


def _of(sight: Sight, kind: str) -> int:
    return next(n for n, record in enumerate(sight.signals) if f'"{kind}"'.encode() in (record.value or b"")[:40])


def _without_signal(kind: str) -> Callable[[Sight], Sight]:
    def change(sight: Sight) -> Sight:
        place = _of(sight, kind)
        return replace(sight, signals=[*sight.signals[:place], *sight.signals[place + 1 :]])

    return change


def _twice(kind: str) -> Callable[[Sight], Sight]:
    return lambda sight: replace(sight, signals=[*sight.signals, sight.signals[_of(sight, kind)]])


def _counted_once_more(sight: Sight) -> Sight:
    state = dict(copy.deepcopy(sight.state))
    next(iter(state.values())).replies += 1
    return replace(sight, state=state)


def _forgotten(sight: Sight) -> Sight:
    return replace(sight, state=dict(list(sight.state.items())[1:]))


KINDS: Final = (
    "post.negative",
    "post.answered",
    "post.redacted",
    "post.edited",
    "author.changed",
    "cascade.forecast",
    "brand.volume",
    "source.coverage",
)
CHANGES: Final[dict[str, Callable[[Sight], Sight]]] = {
    **{f"{kind} lost": _without_signal(kind) for kind in KINDS},
    **{f"{kind} doubled": _twice(kind) for kind in KINDS},
    "an event counted twice": _counted_once_more,
    "a conversation forgotten": _forgotten,
    "a dead letter lost": lambda sight: replace(sight, letters=sight.letters[1:]),
    "a dead letter doubled": lambda sight: replace(sight, letters=[*sight.letters, sight.letters[0]]),
    "a watch request lost": lambda sight: replace(sight, watch=sight.watch[1:]),
}


def test_a_night_without_faults_is_exact(sight: Sight) -> None:
    assert_exact(sight)


@pytest.mark.parametrize("name", CHANGES)
def test_the_oracle_sees(sight: Sight, name: str) -> None:
    changed = CHANGES[name](sight)
    assert differences(changed, reference_of(changed, BRANDS))


def test_the_oracle_sees_a_story_link_that_was_never_written(sight: Sight) -> None:
    linked: list[Any] = [r for r in sight.posts if (r.value or b"").startswith(b'{"type":"story.linked"')]
    assert linked
    reference = reference_of(sight, BRANDS)
    assert differences(replace(sight, posts=[r for r in sight.posts if r is not linked[0]]), reference)


def test_the_oracle_sees_a_post_that_was_never_passed_on_to_its_conversation(sight: Sight) -> None:
    passed: list[Any] = [r for r in sight.posts if b'"forwarded":' in (r.value or b"")]
    kinds = {kind for kind in ("repost", "reply", "deletion") for r in passed if f'"kind":"{kind}"'.encode() in r.value}
    assert kinds == {"repost", "reply", "deletion"}, "the night has all of them"
    for one in passed[:3]:
        changed = replace(sight, posts=[r for r in sight.posts if r.value != one.value])
        assert differences(changed, reference_of(changed, BRANDS))


def test_a_seed_gives_the_same_night_again() -> None:
    assert simulate(4, 200).messages() == simulate(4, 200).messages()
    assert simulate(4, 200).expected() != simulate(5, 200).expected()
