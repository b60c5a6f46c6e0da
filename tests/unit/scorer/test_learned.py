"""The learned forecaster: shapes without a scale, trees as they were stored, weights that fit their features or are refused."""

from __future__ import annotations

import math
import random
from importlib.resources import files

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorer.virality.cascade import Cascade
from scorer.virality.features import LINE_FEATURES, NAMES, shape_of, with_line
from scorer.virality.learned import LearnedForecaster, Weights, loud_outlook, shipped
from scorer.virality.trees import FlatEnsemble, FlatTree, grown
from services.base.errors import Damaged
from services.contracts.signal import Line

BEGIN = 1_700_000_000.0
HORIZON = 72 * 3600.0


def spread(delays: list[float], followers: int | None = None) -> Cascade:
    cascade = Cascade(story="x:1", network="x")
    cascade.add_root(BEGIN, 100, velocity=True)
    for delay in delays:
        cascade.add_engagement("repost", BEGIN + delay, followers, human=True, velocity=True)
    return cascade


@given(st.lists(st.floats(0, 1e7), max_size=80), st.floats(0, 1e7))
def test_features_are_finite_whatever_was_folded_and_whenever_it_is_asked(delays: list[float], after: float) -> None:
    cascade = spread(delays)
    shape = shape_of(cascade, cascade.begins + after, HORIZON)
    assert len(shape) + LINE_FEATURES == len(NAMES)
    assert all(map(math.isfinite, with_line(shape, len(delays), 10.0)))


def test_followers_do_not_enter_the_shape_because_they_would_tell_the_network() -> None:
    delays = [60.0 * n for n in range(40)]
    now = BEGIN + 3600
    assert shape_of(spread(delays), now, HORIZON) == shape_of(spread(delays, 7_000), now, HORIZON)


@pytest.mark.parametrize("line", [50, 500, 5_000, 50_000])
def test_a_story_at_the_same_share_of_any_line_is_judged_and_never_from_one_to_zero(line: int) -> None:
    rng = random.Random(line)
    size = max(5, line // 4)
    model = shipped()
    fast = spread(sorted(rng.expovariate(1 / 600) for _ in range(size)))
    slow = spread(sorted(rng.uniform(0, 60 * 3600) for _ in range(size)))
    quick = model.probability(fast, Line(engagements=line), BEGIN + 700, HORIZON)
    late = model.probability(slow, Line(engagements=line), BEGIN + 60 * 3600, HORIZON)
    assert late < quick


def test_what_a_loud_voice_brings_fades_when_its_readers_have_reacted() -> None:
    cascade = spread([60.0 * n for n in range(1, 8)])
    cascade.add_engagement("quote", BEGIN + 500, 2_000_000, human=True, velocity=True)
    steps = [loud_outlook(cascade, BEGIN + 500 + after) for after in (0, 3_600, 36_000, 360_000)]
    assert steps == sorted(steps, reverse=True)
    assert steps[0] > 20 * steps[-1]


def test_a_tree_says_what_it_was_stored_to_say() -> None:
    tree = FlatTree([0, -1, 1, -1, -1], [2.0, 10.0, 5.0, 20.0, 30.0], [1, 0, 3, 0, 0], [2, 0, 4, 0, 0])
    ensemble = grown(FlatEnsemble(1.0, [tree, tree]), 2)
    assert [ensemble(x) for x in ((2.0, 0.0), (2.1, 5.0), (2.1, 5.1))] == [21.0, 41.0, 61.0]


@pytest.mark.parametrize(
    "tree",
    [
        FlatTree([0], [1.0], [0], [0]),
        FlatTree([0, -1], [1.0, 2.0], [1, 0], [7, 0]),
        FlatTree([9, -1, -1], [1.0, 2.0, 3.0], [1, 0, 0], [2, 0, 0]),
        FlatTree([], [], [], []),
    ],
)
def test_a_tree_that_is_none_is_refused(tree: FlatTree) -> None:
    with pytest.raises(Damaged, match="a tree"):
        grown(FlatEnsemble(0.0, [tree]), 2)


def test_weights_for_other_features_are_refused() -> None:
    content = (files("scorer.virality") / "weights" / "virality.json").read_bytes()
    weights = msgspec.json.decode(content, type=Weights)
    with pytest.raises(Damaged, match="train-virality"):
        LearnedForecaster(msgspec.structs.replace(weights, features=["hour", *weights.features[1:]]))


def test_without_a_line_nothing_is_crossed() -> None:
    assert shipped().probability(spread([1.0, 2.0]), Line(), BEGIN + 10, HORIZON) == 0.0
