"""Stolen cards are tried with small orders until one is accepted."""

from __future__ import annotations

from collections.abc import Iterator

from training.simulator.goods import basket
from training.simulator.steps import Place, Step, order, who
from training.simulator.world import World


def card_tester(world: World, start: float) -> Iterator[Step]:
    """Sign up, then pay small baskets with card after card; most are declined."""
    rng, make = world.rng, world.make
    tester = make.person(start)
    place = Place(make.device(automated=rng.random() < 0.4), make.ip(hosting=rng.random() < 0.5))
    yield Step(start, "signup", who(tester, place), True)
    at = start + 30
    for _ in range(rng.randint(6, 20)):
        lines = basket(rng, "grocery", most_items=1)
        part = order(world.order_id(), lines, tester.address)
        parts = who(tester, place) | {"order": part}
        payment = make.payment() | {"method": "card", "bin": f"{rng.randint(400_000, 559_999)}"}
        yield Step(at, "checkout", parts | {"payment": payment}, True)
        outcome = "authorized" if rng.random() < 0.12 else "declined"
        yield Step(at + 3, "payment", parts | {"payment": payment | {"outcome": outcome}}, True)
        at += 8 + rng.expovariate(1 / 30)
