"""Another configuration in the middle of a step: the step ends as it began, and one that is done again says the same."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from scorer.sentiment.model import Reading
from scorer.surge_model import SENSITIVITIES
from scorer.watched import Watched
from services.config.loading import parse
from services.contracts.signal import CascadeForecast, PostFlagged, PostNegative, SurgePhase
from tests.unit.scorer import surge_lane
from tests.unit.scorer.test_pipeline import Lane, complaint, only, post, reposts


class Changing(Lane):
    """A lane whose configuration changes while its texts are read, which is in the middle of a step."""

    def __init__(self) -> None:
        super().__init__(line=100)
        self.then: dict[str, object] | None = None

    async def score(self, texts: Sequence[str], languages: Sequence[str | None]) -> list[Reading]:
        if self.then is not None:
            self.brands = dict(self.then)  # type: ignore[arg-type]
        return await super().score(texts, languages)


@pytest.fixture
def lane() -> Changing:
    return Changing()


async def test_a_step_is_of_the_configuration_that_it_began_with(lane: Changing) -> None:
    lane.then = {"blue": lane.brands["blue"]}
    assert only(await lane.take(complaint()), PostNegative), "acme went while the post was read"
    assert not only(await lane.take(complaint("2")), PostNegative)


async def test_a_step_that_is_done_again_after_the_change_says_nothing_twice(lane: Changing) -> None:
    record = lane.record(complaint())
    before = await lane.processor.process([record], lane.clock.now())
    lane.restart()  # it was killed before the commit, and the configuration changed meanwhile
    lane.brands = {"acme": lane.brands["acme"].model_copy(update={"negative_from": 0.01})}
    after = await lane.processor.process([record], lane.clock.now())
    assert [message.key for message in before.appends] == [message.key for message in after.appends]
    assert before.appends == after.appends
    lane.commit(after)
    lane.restart()
    assert not only(await lane.take(record), PostNegative), "and a third time it is known"


async def test_a_story_of_a_brand_that_is_gone_is_followed_in_silence_and_forgotten(lane: Changing) -> None:
    assert only(await lane.take(complaint(), *reposts(120)), CascadeForecast)
    acme = lane.brands.pop("acme")
    assert not await lane.take(*reposts(300, start=120))
    lane.clock.advance(90)
    assert not only(await lane.fire(), CascadeForecast)
    lane.brands["acme"] = acme
    assert only(await lane.take(*reposts(300, start=420)), CascadeForecast), "it is back, and so is its story"
    del lane.brands["acme"]
    lane.restart()
    assert [key for key in lane.committed if key.startswith("c:")]
    lane.clock.advance(97 * 3600)
    await lane.fire()
    assert not [key for key in lane.committed if key.startswith("c:")], "nothing stays of it for ever"


async def test_a_surge_of_a_brand_that_is_gone_ends() -> None:
    lane = surge_lane.Lane()
    started = [surge for n in range(60) for surge in await lane.take(lane.complaint(n))]
    assert [surge.phase for surge in started][:1] == [SurgePhase.START]
    del lane.brands[surge_lane.ACME]
    ended = await lane.wait(6 * 3600)
    assert [surge.phase for surge in ended][-1:] == [SurgePhase.END]


async def test_topics_are_those_of_the_configuration_in_force() -> None:
    lane = Lane()
    words = "Acme smells of marzipan"
    assert not only(await lane.take(post("1", text=words, brands=("acme",))), PostFlagged)
    config = parse("brands: [{id: acme, name: Acme, surges: more}]\ntopics: {almonds: [marzipan]}")
    lane.processor._watching = lambda: Watched.of(config)
    (flagged,) = only(await lane.take(post("2", text=words, brands=("acme",))), PostFlagged)
    assert list(flagged.topics) == ["almonds"]
    watched = Watched.of(config)
    assert watched.sensitivity("acme") == SENSITIVITIES["more"]
    assert watched.sensitivity("gone") == SENSITIVITIES["balanced"]
