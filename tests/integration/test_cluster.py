"""Decisions of the real service on a real Valkey Cluster, while slots move and a primary is lost.

What the README promises of a cluster: answers, never errors; `degraded` says what was missing; what
the surviving servers hold is counted once and not lost.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from features.velocity.connect import connect
from features.velocity.slots import slot_of
from service.embedded import EmbeddedServers
from service.settings import Settings, setting_rows
from tests.events import event
from tests.http_client import Answer
from tests.running import Here, entries, service_here, settings_on
from tests.valkey_cluster import Node, ValkeyCluster

BUDGET_MS = 300  # of the velocities: this is about what is counted, not about time
PACE_S = 0.02
BACK_S = 10.0
_numbers = count()  # of shoppers: no two are the same person


@pytest.fixture(scope="module")
def cluster() -> Iterator[ValkeyCluster]:
    with ValkeyCluster() as running:
        yield running


@pytest_asyncio.fixture
async def here(
    cluster: ValkeyCluster, servers: EmbeddedServers, fresh_postgres_url: str, tmp_path: Path
) -> AsyncIterator[Here]:
    """A service in this process whose velocities and claims are on the cluster."""
    settings = settings_on(servers, tmp_path, patient_ms=5000)
    valkey = settings.valkey.model_copy(update={"url": cluster.url, "budget_ms": BUDGET_MS})
    postgres = settings.postgres.model_copy(update={"url": fresh_postgres_url})
    settings = settings.model_copy(update={"valkey": valkey, "postgres": postgres})
    async with service_here(settings) as running:
        yield running


class Shopper:
    """Someone who keeps failing to sign in; both of their entities count it."""

    def __init__(self, here: Here, number: int) -> None:
        self.user, self.device = f"u-{number}", f"d-{number}"
        tagger = here.runtime.brain.tagger
        self.user_slot = slot_of(f"ts:{{user:{tagger.tag('user', self.user)}}}:")
        self.device_slot = slot_of(f"ts:{{device:{tagger.tag('device', self.device)}}}:")

    def fails(self) -> dict[str, Any]:
        failed = {"succeeded": False, "method": "password"}
        return event("login", user={"id": self.user}, device={"id": self.device}, login=failed)


class Load:
    """Answers to everything that was sent, by shopper; each event goes out twice now and then."""

    def __init__(self, here: Here) -> None:
        self._here = here
        self.answers: list[tuple[Shopper, Answer]] = []
        self.repeats: list[tuple[Answer, Answer]] = []

    @asynccontextmanager
    async def of(self, shoppers: list[Shopper], workers: int = 4) -> AsyncIterator[None]:
        """Let the shoppers fail to sign in, over and over, until the block ends."""
        ended = asyncio.Event()

        async def work(first: int) -> None:
            for number in count(first, workers):
                shopper = shoppers[number % len(shoppers)]
                body = shopper.fails()
                answer = await self._here.client.score(body)
                self.answers.append((shopper, answer))
                if number % 5 == 0:
                    self.repeats.append((answer, await self._here.client.score(body)))
                await asyncio.sleep(PACE_S)
                if ended.is_set():
                    return

        tasks = [asyncio.create_task(work(first)) for first in range(workers)]
        try:
            yield
        finally:
            ended.set()
            await asyncio.gather(*tasks)

    def sent(self, shopper: Shopper) -> int:
        return sum(one is shopper for one, _ in self.answers)

    def whole(self, shopper: Shopper) -> int:
        """How many answers knew the velocities."""
        return sum(one is shopper and is_whole(answer) for one, answer in self.answers)

    def assert_no_errors(self) -> None:
        assert {answer.status for _, answer in self.answers} == {200}
        assert all(first.content == second.content for first, second in self.repeats)


def is_whole(answer: Answer) -> bool:
    return "velocity" not in answer.json["degraded"]


def shoppers_where(here: Here, fits: Callable[[Shopper], bool], number: int) -> list[Shopper]:
    """Fresh shoppers whose slots lie as a test wants them."""
    found = (shopper for shopper in (Shopper(here, n) for n in _numbers) if fits(shopper))
    return [next(found) for _ in range(number)]


async def counted(here: Here, shoppers: list[Shopper]) -> list[tuple[int, int]]:
    """What the next event of each shopper sees: failures of the user, failures of the device."""
    answers = [await here.client.score(shopper.fails()) for shopper in shoppers]
    assert all(map(is_whole, answers))
    facts = {
        entry.entry_id.hex(): entry.subject["facts"]
        for entry in await entries(here.settings)
        if entry.subject is not None
    }
    seen = [facts[answer.json["decision_id"]] for answer in answers]
    return [(fact["user_login_failures_24h"], fact["device_login_failures_24h"]) for fact in seen]


async def until_whole(here: Here, shoppers: list[Shopper], load: Load) -> None:
    """Wait until decisions about all of these shoppers know everything again."""
    give_up_at = asyncio.get_running_loop().time() + BACK_S
    for shopper in shoppers:
        while True:
            answer = await here.client.score(shopper.fails())
            load.answers.append((shopper, answer))
            if is_whole(answer):
                break
            assert asyncio.get_running_loop().time() < give_up_at, "velocity did not come back"
            await asyncio.sleep(PACE_S)


def test_a_cluster_is_a_setting_and_its_password_is_not_shown() -> None:
    """Any member will do; over TLS too."""
    for scheme in ("valkey+cluster", "redis+cluster", "rediss+cluster"):
        url = f"{scheme}://user:hunter2@one:6379,two:6379"
        settings = Settings(valkey={"url": url})
        shown = {name: value for name, value, _ in setting_rows(settings)}
        assert shown["TOUCHSTONE_VALKEY__URL"] == f"{scheme}://***@one:6379,two:6379"
        assert "hunter2" not in repr(settings)
        if scheme != "rediss+cluster":
            assert "hunter2" not in repr(connect(url).__dict__)


async def test_a_slot_moves_under_load(cluster: ValkeyCluster, here: Here) -> None:
    """Every event is answered, decided with all it needs and counted once, wherever its slot is."""
    [busy] = shoppers_where(here, lambda one: one.user_slot != one.device_slot, 1)
    others = shoppers_where(here, lambda one: one.device_slot != busy.device_slot, 3)
    source = cluster.owner(busy.device_slot)
    target = next(node for node in cluster.primaries() if node is not source)

    def move() -> None:
        for _ in range(4):
            cluster.migrate_slot(busy.device_slot, target)
            cluster.migrate_slot_at_once(busy.device_slot, source)

    load = Load(here)
    async with load.of([busy, *others]):
        await asyncio.sleep(0.2)
        await asyncio.to_thread(move)
        await asyncio.sleep(0.2)
    load.assert_no_errors()
    assert all(is_whole(answer) for _, answer in load.answers)
    everyone = [busy, *others]
    assert await counted(here, everyone) == [(load.sent(one), load.sent(one)) for one in everyone]


async def test_a_slot_that_stays_on_its_way(cluster: ValkeyCluster, here: Here) -> None:
    """Its entities are missing from decisions, which say so; all other entities go on."""
    [busy] = shoppers_where(here, lambda one: one.user_slot != one.device_slot, 1)
    others = shoppers_where(
        here, lambda one: busy.device_slot not in (one.user_slot, one.device_slot), 3
    )
    await here.client.score(busy.fails())
    source = cluster.owner(busy.device_slot)
    target = next(node for node in cluster.primaries() if node is not source)
    load = Load(here)
    with cluster.migration(busy.device_slot, target):
        async with load.of([busy, *others]):
            await asyncio.sleep(1.0)
    load.assert_no_errors()
    assert load.whole(busy) == 0
    assert all(load.whole(one) == load.sent(one) > 0 for one in others)
    await until_whole(here, [busy], load)
    [(of_user, of_device)] = await counted(here, [busy])
    assert of_user == load.sent(busy) + 1, "the user's slot stayed where it was"
    assert of_device == load.whole(busy) + 1, "refused, hence not counted, and never twice"


async def test_a_primary_is_lost_under_load(cluster: ValkeyCluster, here: Here) -> None:
    """Always 200, `degraded` where its keys are needed; the others' are counted once, none lost."""
    lost = cluster.primaries()[-1]

    gone = slots_of(lost)
    spared = shoppers_where(here, lambda one: not {one.user_slot, one.device_slot} & gone, 4)
    struck = shoppers_where(
        here, lambda one: one.user_slot not in gone and one.device_slot in gone, 4
    )
    load = Load(here)
    async with load.of([*spared, *struck]):
        await asyncio.sleep(0.3)
        before = len(load.answers)
        cluster.kill(cluster.nodes.index(lost))
        await asyncio.sleep(0.7)
        during = load.answers[before + 4 :]  # four were on their way
        await asyncio.to_thread(cluster.restart, cluster.nodes.index(lost))
        await until_whole(here, struck, load)
        back = len(load.answers)
        await asyncio.sleep(0.3)
    load.assert_no_errors()
    assert all(is_whole(answer) for one, answer in load.answers if one in spared)
    away = Counter(is_whole(answer) for one, answer in during if one in struck)
    assert set(away) == {False}
    assert all(is_whole(answer) for _, answer in load.answers[back + 4 :])
    assert await counted(here, spared) == [(load.sent(one), load.sent(one)) for one in spared]
    for one, (of_user, of_device) in zip(struck, await counted(here, struck), strict=True):
        assert of_user == load.sent(one), "its server was there all the time"
        assert load.whole(one) <= of_device <= load.sent(one)


async def test_an_event_is_answered_once_on_a_cluster(cluster: ValkeyCluster, here: Here) -> None:
    """The same event twenty times at once while its claim's slot moves: one answer, one count."""
    [shopper] = shoppers_where(here, lambda _: True, 1)
    repeated = shopper.fails()
    tag = here.runtime.brain.tagger.tag("event", repeated["event_id"])
    slot = slot_of(f"ts:{{event:{tag}}}:claim")
    source = cluster.owner(slot)
    target = next(node for node in cluster.primaries() if node is not source)
    moving = asyncio.create_task(asyncio.to_thread(cluster.migrate_slot, slot, target))
    answers = await asyncio.gather(*(here.client.score(repeated) for _ in range(20)))
    await moving
    assert {answer.status for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    other = repeated | {"device": {"id": "another"}}
    assert (await here.client.score(other)).status == 409
    assert target.command("GET", f"ts:{{event:{tag}}}:claim") is not None
    assert await counted(here, [shopper]) == [(1, 1)]


def slots_of(node: Node) -> set[int]:
    """The slots that a server owns."""
    return {
        slot
        for first, last, primary, *_ in node.command("CLUSTER", "SLOTS")
        if primary[1] == node.port
        for slot in range(first, last + 1)
    }
