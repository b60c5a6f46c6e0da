"""Training and backtest are one: what the training judges is what the backtest, and so production, would state."""

from __future__ import annotations

import random
from importlib.resources import files
from pathlib import Path
from statistics import fmean

import msgspec
import numpy as np
import pytest

from scorer.backtest.recorded import Event, Recorded, read
from scorer.backtest.replay import Replay
from scorer.training.snapshots import HORIZON_SECONDS, Snapshots, part_of, streamed, take_snapshots
from scorer.virality.features import NAMES, with_line
from scorer.virality.learned import Weights, shipped
from scorer.virality.trees import grown
from services.contracts.signal import Line

LINE = 500


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = random.Random(4)
    path: Path = tmp_path_factory.mktemp("cascades") / "cascades.jsonl"
    with path.open("wb") as out:
        for number in range(14):
            size = rng.choice([30, 90, 480, 900])
            delays = sorted(3_600 * rng.lognormvariate(0, 1) for _ in range(size))
            events = [Event(0.0, None, "post"), *(Event(delay, None, "retweet") for delay in delays)]
            one = Recorded(f"c{number}", events, "some", 1e9 + number * HORIZON_SECONDS / 3)
            out.write(msgspec.json.encode(one) + b"\n")
    return path


def said(looks: Snapshots) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Log-odds of each look by the shipped trees."""
    weights = msgspec.json.decode((files("scorer.virality") / "weights" / "virality.json").read_bytes(), type=Weights)
    trees = grown(weights.crosses, len(NAMES))
    rows = zip(looks.shapes.tolist(), looks.size.tolist(), strict=True)
    return np.array([trees(with_line(s, n, LINE - n)) if n < LINE else 50.0 for s, n in rows], np.float32)


def test_the_training_states_what_the_backtest_states(recorded: Path) -> None:
    looks = take_snapshots("some", recorded)
    margin = said(looks)
    stated = streamed(looks, margin, LINE)
    places = zip(looks.cascade.tolist(), looks.seconds.tolist(), strict=True)
    ours = {(n, round(s, 1)): p for (n, s), p in zip(places, stated.tolist(), strict=True)}
    replay = Replay(shipped(), Line(engagements=LINE), HORIZON_SECONDS)
    apart = [
        abs(mine - one.probability)
        for number, story in enumerate(read([recorded]))
        for one in replay.follow(story)
        if one.observed < LINE and (mine := ours.get((number, round(one.seconds, 1)))) is not None
    ]
    assert np.abs(stated - 1 / (1 + np.exp(-margin))).max() > 0.1, "something was learned on the way"
    assert len(apart) > 500
    assert max(apart) < 0.05, "a claim may be made a look later"
    assert fmean(apart) < 0.01


def test_a_part_keeps_its_cascades_whole(recorded: Path) -> None:
    looks = take_snapshots("some", recorded)
    part = part_of(looks, looks.fold == 2)
    assert len(part.final) == int((looks.fold == 2).sum())
    assert list(part.final) == list(looks.final[looks.fold == 2])
    assert set(part.cascade) == set(range(len(part.final)))
    assert part.size.sum() == looks.size[looks.fold[looks.cascade] == 2].sum()
