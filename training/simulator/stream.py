"""How do honest visits and attacks become one stream of events in time order?

Sessions start along a daily rhythm; each is a generator of steps, and a heap merges them, so that
memory holds open sessions only. The rate follows what is left to emit, so that the stream ends
close to `until` whatever the attacks added. Invariant: equal arguments give equal streams.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from random import Random

from training.labelled import Labelled
from training.simulator.merchants import Market
from training.simulator.people import DAY
from training.simulator.scenarios.account_takeover import account_takeover
from training.simulator.scenarios.card_tester import card_tester
from training.simulator.scenarios.coupon_farm import coupon_farm
from training.simulator.scenarios.credential_stuffing import credential_stuffing, password_spraying
from training.simulator.scenarios.honest import coupon_day, flash_sale_visit, sign_up, visit
from training.simulator.scenarios.return_abuser import return_abuser
from training.simulator.steps import Scenario, Step, iso
from training.simulator.trade import trade
from training.simulator.world import World

HONEST: tuple[Scenario, ...] = (visit, sign_up, coupon_day)
_HONEST_SHARES = (83, 12, 5)
ATTACKS: tuple[Scenario, ...] = (
    coupon_farm,
    credential_stuffing,
    card_tester,
    return_abuser,
    account_takeover,
    password_spraying,
)
# Means over long runs of the scenarios as they are (a test keeps them close).
_EVENTS_PER_VISIT = 3.4
_EVENTS_PER_ATTACK = 26.0
_FEWEST_MERCHANTS, _EVENTS_PER_MERCHANT = 8, 20
_PEAK_SECONDS = 3600.0
_SLOT_SECONDS = 1800.0


@dataclass(frozen=True, slots=True)
class Traffic:
    """What to simulate: `events` at most, from `since` to `until` (aware times)."""

    events: int
    seed: int
    since: datetime
    until: datetime
    run: str = "r1"
    abuse_share: float = 0.08
    population: int | None = None
    """Customers of before; None: one for 25 events, 60 at least."""
    settled: datetime | None = None
    """Before this time the customers of before signed up; None: before `since`."""
    merchants_share: float = 0.0
    """Share of the events that are offers and settlements of merchants. No model learns from these:
    with 0, as for training, the customers' events are what they are by themselves."""


def simulate(traffic: Traffic) -> Iterator[Labelled]:
    """Yield the events of the traffic in time order, one at a time.

    About `events`, never more, all within `since` and `until`. Ids of events and of whoever signs
    up hold `run`; customers of before are the same people in every run with the same `seed`,
    `population` and `settled`.
    """
    of_merchants = int(traffic.events * traffic.merchants_share)
    shop = _shop(traffic, traffic.events - of_merchants)
    if not of_merchants:
        return shop
    merchants = _trade(traffic, of_merchants)
    return heapq.merge(shop, merchants, key=lambda item: str(item.event["occurred_at"]))


def _shop(traffic: Traffic, wanted: int) -> Iterator[Labelled]:
    start, end = traffic.since.timestamp(), traffic.until.timestamp()
    sessions = _Sessions(traffic, _world(traffic), start, end)
    emitted = 0
    while emitted < wanted:
        taken = sessions.take(wanted - emitted)
        if taken is None:
            return
        emitted += 1
        yield _labelled(f"{traffic.run}-{emitted:06x}e", *taken)


def _trade(traffic: Traffic, wanted: int) -> Iterator[Labelled]:
    start, end = traffic.since.timestamp(), traffic.until.timestamp()
    merchants = max(_FEWEST_MERCHANTS, wanted // _EVENTS_PER_MERCHANT)
    opened = start if traffic.settled is None else traffic.settled.timestamp()
    market = Market(_world(traffic), traffic.seed, traffic.run, opened, merchants)
    for number, (step, scenario) in enumerate(trade(market, start, end, wanted), 1):
        yield _labelled(f"{traffic.run}-{number:06x}t", step, scenario)


def _world(traffic: Traffic) -> World:
    settled = traffic.since if traffic.settled is None else traffic.settled
    population = traffic.population or max(60, traffic.events // 25)
    return World(traffic.seed, traffic.run, settled.timestamp(), population)


def _labelled(event_id: str, step: Step, scenario: str) -> Labelled:
    event = {"event_id": event_id, "type": step.type, "occurred_at": iso(step.at), **step.parts}
    return Labelled(event, int(step.abusive), scenario)


class _Sessions:
    """Open sessions by the time of their next step, and the arrival of the next one."""

    def __init__(self, traffic: Traffic, world: World, start: float, end: float) -> None:
        self._world = world
        self._end = end
        self._share = traffic.abuse_share
        self._heap: list[tuple[float, int, Step, str, Iterator[Step]]] = []
        self._opened = 0
        self._arrival = start
        self._attacks: list[Scenario] = []
        self._peaks = _peaks(world.rng, start, end)
        self._until_attack = self._attack_gap() * world.rng.random()

    def take(self, wanted: int) -> tuple[Step, str] | None:
        """Return the next step of all sessions; None at the end of the time."""
        while self._arrival < self._end and (not self._heap or self._arrival <= self._heap[0][0]):
            self._open(self._arrival)
            self._arrival = self._next_arrival(wanted)
        if not self._heap or self._heap[0][0] > self._end:
            return None
        _, number, step, name, session = self._heap[0]
        following = next(session, None)
        if following is None:
            heapq.heappop(self._heap)
        else:
            heapq.heapreplace(self._heap, (following.at, number, following, name, session))
        return step, name

    def _open(self, at: float) -> None:
        rng = self._world.rng
        self._until_attack -= _EVENTS_PER_VISIT
        if self._until_attack <= 0:
            self._until_attack += self._attack_gap()
            self._start(self._next_attack(), at)
        elif any(begin <= at < begin + _PEAK_SECONDS for begin in self._peaks):
            self._start(flash_sale_visit, at)
        else:
            self._start(rng.choices(HONEST, _HONEST_SHARES)[0], at)

    def _start(self, scenario: Scenario, at: float) -> None:
        session = scenario(self._world, at)
        first = next(session)
        self._opened += 1
        name = scenario.__name__
        heapq.heappush(self._heap, (first.at, self._opened, first, name, session))

    def _next_arrival(self, wanted: int) -> float:
        """Return when the next session starts: what is left to emit over the time that is left.

        The rate holds for half an hour; a pause that would be longer is drawn anew from there,
        which a Poisson process, having no memory, does not notice.
        """
        at = self._arrival
        visits = max(wanted * (1 - self._share) / _EVENTS_PER_VISIT, 1.0)
        while at < self._end:
            busy = any(begin <= at < begin + _PEAK_SECONDS for begin in self._peaks)
            rate = visits / max(self._end - at, 1.0) * _rhythm(at) * (6.0 if busy else 1.0)
            pause = self._world.rng.expovariate(rate)
            if pause <= _SLOT_SECONDS:
                return at + pause
            at += _SLOT_SECONDS
        return self._end

    def _attack_gap(self) -> float:
        """Return honest events up to the next attack."""
        mean = _EVENTS_PER_ATTACK * (1 - self._share) / self._share
        return self._world.rng.uniform(0.5, 1.5) * mean

    def _next_attack(self) -> Scenario:
        if not self._attacks:
            self._attacks = list(ATTACKS)
            self._world.rng.shuffle(self._attacks)
        return self._attacks.pop()


def _rhythm(at: float) -> float:
    """Return the shop's activity at a time of day, 1 on average: quiet at 4, busy at 20 (UTC+8)."""
    hour = (at / 3600 + 8) % 24
    return 1 + 0.75 * math.cos((hour - 18) / 24 * 2 * math.pi)


def _peaks(rng: Random, start: float, end: float) -> list[float]:
    """Return the beginnings of flash sales: one in four days, an hour each, at 20:00 UTC+8."""
    days = int((end - start) // DAY)
    evening = (start // DAY) * DAY + 12 * 3600
    return [evening + day * DAY for day in range(days) if rng.random() < 0.25]
