"""What `ingest.sources.base` promises, held by every connector."""

from __future__ import annotations

from collections import Counter

import pytest

from ingest.sources import ledger
from services.contracts.post import CoverageState, PostKind, SourceCoverage
from services.contracts.source_status import Phase
from tests.contract.sources.life import NAME, Died, Life, World
from tests.contract.sources.network import Deed, Fault, Network

HOUR = 3600.0


async def listens(world: World, life: Life) -> None:
    """Wait until the source listens."""

    async def there() -> bool:
        return life.phase == Phase.LISTENING.value

    await world.until(there)


async def gap_closed(world: World) -> None:
    async def there() -> bool:
        return bool(await world.gaps()) and not await world.open_gaps()

    await world.until(there)


async def gap_opened(world: World) -> None:
    async def there() -> bool:
        return bool(await world.open_gaps())

    await world.until(there)


async def test_what_is_written_is_stored_once(world: World, network: Network) -> None:
    async with world.life() as life:
        await listens(world, life)
        posts = [await network.write(f"Acme Air is late, {n}") for n in range(3)]
        await world.heard(*posts)
    assert Counter(await world.posts()) == Counter(posts)


@pytest.mark.parametrize(
    ("deed", "kind"),
    [
        pytest.param(Deed.REPLY, PostKind.REPLY, marks=pytest.mark.plays(Deed.REPLY)),
        pytest.param(Deed.QUOTE, PostKind.QUOTE, marks=pytest.mark.plays(Deed.QUOTE)),
        pytest.param(Deed.REPOST, PostKind.REPOST, marks=pytest.mark.plays(Deed.REPOST)),
    ],
)
async def test_what_hangs_on_a_mention_is_heard(world: World, network: Network, deed: Deed, kind: PostKind) -> None:
    async with world.life() as life:
        await listens(world, life)
        mention = await network.write("Acme Air lost my bag")
        await world.heard(mention)
        answer = await network.write("Acme Air, so did mine", deed, mention)

        async def there() -> bool:
            return answer in await world.posts(kind)

        await world.until(there)


@pytest.mark.plays(Deed.DELETION)
async def test_a_deletion_reaches_every_partition(world: World, network: Network) -> None:
    async with world.life() as life:
        await listens(world, life)
        mention = await network.write("Acme Air lost my bag")
        await world.heard(mention)
        await network.write("", Deed.DELETION, mention)

        async def there() -> bool:
            return (await world.deletions()).count(mention) == 2

        await world.until(there)


@pytest.mark.parametrize("where", ["source.heard", "source.stored"])
async def test_a_kill_between_fetch_and_commit_loses_nothing_and_stores_nothing_twice(
    world: World, network: Network, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    async with world.life() as life:
        await listens(world, life)
        first = await network.write("Acme Air is late")
        await world.heard(first)
    armed = True

    def seam(name: str) -> None:
        if armed and name == where:
            raise Died

    second = await network.write("Acme Air is later")
    monkeypatch.setattr(ledger, "seam", seam)
    async with world.life(dies=True):
        world.clock.advance(network.pace_seconds)
    armed = False
    async with world.life() as life:
        third = await network.write("Acme Air is latest")
        await world.heard(first, second, third)
    assert Counter(await world.posts()) == Counter([first, second, third])


@pytest.mark.plays(Fault.AWAY)
async def test_after_an_hour_away_all_is_heard_or_stated_as_one_gap(world: World, network: Network) -> None:
    async with world.life() as life:
        await listens(world, life)
        before = await network.write("Acme Air is late")
        await world.heard(before)
        await network.play(Fault.AWAY)
        await gap_opened(world)
        during = await network.write("Acme Air is still late")
        world.clock.advance(HOUR)
        await network.mend()
        after = await network.write("Acme Air has landed")
        await world.heard(before, after)
        await gap_closed(world)
    begins = {gap.begins for gap in await world.gaps()}
    assert len(begins) == 1, "one outage is one gap, which keeps its begin"
    if network.keeps_seconds > HOUR:
        assert during in await world.posts()
    assert all(times == 1 for times in Counter(await world.posts()).values())


@pytest.mark.plays(Fault.CUT)
async def test_a_cut_loses_nothing(world: World, network: Network) -> None:
    async with world.life() as life:
        await listens(world, life)
        posts = [await network.write("Acme Air is late")]
        await world.heard(*posts)
        await network.play(Fault.CUT)
        posts.append(await network.write("Acme Air is later"))
        await world.heard(*posts)
    assert set(posts) <= set(await world.posts())


@pytest.mark.plays(Fault.STORM)
async def test_a_storm_of_429_is_waited_for_as_long_as_the_network_says(world: World, network: Network) -> None:
    async with world.life() as life:
        await listens(world, life)
        await network.play(Fault.STORM)
        if Fault.CUT in network.faults:
            await network.play(Fault.CUT)
        await gap_opened(world)

        async def waits() -> bool:
            status = await world.status()
            return (
                status is not None
                and status.phase is Phase.WAITING
                and status.next_try_at is not None
                and (status.next_try_at - status.at).total_seconds() >= 100
            )

        await world.until(waits)  # a stream that was cut is tried once more before anybody hears of the storm
        post = await network.write("Acme Air is late")
        await network.mend()
        await world.heard(post)
        await gap_closed(world)


@pytest.mark.plays(Fault.REFUSAL)
async def test_revoked_credentials_are_told_and_tried_again_at_a_reload(world: World, network: Network) -> None:
    async with world.life() as life:
        await listens(world, life)
        await network.play(Fault.REFUSAL)
        if Fault.CUT in network.faults:
            await network.play(Fault.CUT)

        async def refused() -> bool:
            return life.phase == Phase.REFUSED.value and life.counted("refused") == 1 and bool(await world.open_gaps())

        await world.until(refused)
        assert life.service.ready().ok == (life.service._watch.trouble is None), "it shows, and no more"
        post = await network.write("Acme Air is late")
        await network.mend()
        await life.config.reload()
        await world.heard(post)
        await gap_closed(world)


@pytest.mark.plays(Fault.SILENCE)
async def test_silence_is_not_taken_for_quiet(world: World, network: Network) -> None:
    async with world.life() as life:
        await listens(world, life)
        first = await network.write("Acme Air is late")
        await world.heard(first)
        await network.play(Fault.SILENCE)
        second = await network.write("Acme Air is later")
        await gap_opened(world)
        await network.mend()
        await world.heard(second)
        await gap_closed(world)


@pytest.mark.plays(Fault.FORGETTING)
async def test_a_place_that_is_gone_is_a_gap_and_listening_goes_on(world: World, network: Network) -> None:
    async with world.life() as life:
        await listens(world, life)
        await world.heard(await network.write("Acme Air is late"))
    await network.play(Fault.FORGETTING)
    async with world.life() as life:
        await listens(world, life)
        await world.heard(await network.write("Acme Air is later"))
        await gap_closed(world)


@pytest.mark.plays(Fault.SKEW)
async def test_a_clock_that_lies_silences_nobody(world: World, network: Network) -> None:
    async with world.life() as life:
        await listens(world, life)
        await network.play(Fault.SKEW)
        posts = [await network.write("Acme Air is late")]
        await world.heard(*posts)
        await network.mend()
        posts.append(await network.write("Acme Air is later"))
        await world.heard(*posts)
        assert not await world.open_gaps()


async def test_of_two_replicas_one_holds_the_source_and_the_other_takes_over(world: World, network: Network) -> None:
    first_life, second_life = world.life(), world.life()
    one = await first_life.__aenter__()
    try:
        await listens(world, one)
        posts = [await network.write("Acme Air is late")]
        await world.heard(*posts)
        other = await second_life.__aenter__()
    except BaseException:
        await first_life.__aexit__(None, None, None)
        raise
    try:
        posts.append(await network.write("Acme Air is later"))
        await world.heard(*posts)
        assert None in {one.phase, other.phase}, "never do both hold it"
        await first_life.__aexit__(None, None, None)
        posts.append(await network.write("Acme Air is latest"))
        await world.heard(*posts)
        assert one.phase is None
    finally:
        await second_life.__aexit__(None, None, None)
    assert Counter(await world.posts()) == Counter(posts)


async def test_a_cursor_of_yesterday_brings_what_came_since_or_states_a_gap(world: World, network: Network) -> None:
    async with world.life() as life:
        await listens(world, life)
        first = await network.write("Acme Air is late")
        await world.heard(first)
    world.clock.advance(24 * HOUR)
    second = await network.write("Acme Air is later")
    async with world.life() as life:
        await listens(world, life)
        await world.heard(second)
        await gap_closed(world)
    (gap,) = {gap.begins: gap for gap in await world.gaps()}.values()
    assert gap.ends is not None, "for a day nobody listened"
    assert (gap.ends - gap.begins).total_seconds() >= 23 * HOUR


async def test_a_reload_starts_and_stops_what_changed(world: World, network: Network) -> None:
    world.configure()
    async with world.life() as life:
        assert life.phase is None
        world.configure({"name": NAME, **network.connector()})
        await life.config.reload()
        await listens(world, life)
        post = await network.write("Acme Air is late")
        await world.heard(post)
        world.configure()
        await life.config.reload()

        async def gone() -> bool:
            status = await world.status()
            return status is not None and status.phase is Phase.GONE

        await world.until(gone)
    last = [e for e in await world.events() if isinstance(e, SourceCoverage) and e.connector == NAME][-1]
    assert last.state is CoverageState.HEALTHY
    assert last.every_seconds is None, "its promise of a next heartbeat is taken back"


async def test_it_says_that_it_hears_for_as_long_as_it_does(world: World) -> None:
    async with world.life() as life:
        await listens(world, life)

        async def beats() -> bool:
            said = [e for e in await world.events() if isinstance(e, SourceCoverage)]
            return sum(e.state is CoverageState.HEALTHY for e in said) >= 3

        await world.until(beats)
    said = [e for e in await world.events() if isinstance(e, SourceCoverage)]
    assert all(e.state is CoverageState.HEALTHY and e.every_seconds for e in said)
