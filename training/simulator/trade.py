"""How do the offers and settlements of merchants become one stream of events in time order?

Sessions start at random through the time, and a heap merges them, so that memory holds open
sessions only. Invariant: equal arguments give equal streams, and nothing here touches the
customers' stream.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator

from training.simulator.merchants import Market
from training.simulator.scenarios.offers import (
    hidden_goods,
    honest_offers,
    loud_claims,
    medical_claims,
    unlicensed_offers,
)
from training.simulator.scenarios.settlements import (
    honest_settlement,
    inflated_invoice,
    invented_trade,
    redirected_payout,
)
from training.simulator.steps import Step

TradeScenario = Callable[[Market, float], Iterator[Step]]
HONEST: tuple[TradeScenario, ...] = (honest_offers, honest_settlement)
_HONEST_SHARES = (35, 65)
ATTACKS: tuple[TradeScenario, ...] = (
    loud_claims,
    unlicensed_offers,
    redirected_payout,
    hidden_goods,
    medical_claims,
    inflated_invoice,
    invented_trade,
)
# A session in 24 breaks a rule, each kind in turn; that is a sixth of the events, for invented
# trade comes in series.
_SESSIONS_PER_ATTACK = 24
_EVENTS_PER_SESSION = 1.5


def trade(market: Market, start: float, end: float, wanted: int) -> Iterator[tuple[Step, str]]:
    """Yield at most `wanted` steps of merchants with their scenarios, none after `end`."""
    rng = market.rng
    heap: list[tuple[float, int, Step, str, Iterator[Step]]] = []
    opened, emitted = 0, 0
    rate = wanted / _EVENTS_PER_SESSION / max(end - start, 1.0)
    arrival = start + rng.expovariate(rate) if wanted else end
    while emitted < wanted:
        while arrival < end and (not heap or arrival <= heap[0][0]):
            scenario = _scenario(market, opened)
            session = scenario(market, arrival)
            heapq.heappush(heap, (arrival, opened, next(session), scenario.__name__, session))
            opened += 1
            arrival += rng.expovariate(rate)
        if not heap or heap[0][0] > end:
            return
        _, number, step, name, session = heap[0]
        yield step, name
        emitted += 1
        following = next(session, None)
        if following is None:
            heapq.heappop(heap)
        else:
            heapq.heapreplace(heap, (following.at, number, following, name, session))


def _scenario(market: Market, opened: int) -> TradeScenario:
    attacks, rest = divmod(opened, _SESSIONS_PER_ATTACK)
    if rest == _SESSIONS_PER_ATTACK // 2:
        return ATTACKS[attacks % len(ATTACKS)]
    return market.rng.choices(HONEST, _HONEST_SHARES)[0]
