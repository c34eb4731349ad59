"""Somebody else gets into a customer's account and spends what is in it."""

from __future__ import annotations

from collections.abc import Iterator

from training.simulator.goods import basket
from training.simulator.steps import Place, Step, login, order, who
from training.simulator.world import World


def account_takeover(world: World, start: float) -> Iterator[Step]:
    """Guess until it opens, from a strange device, then order something dear to a new address."""
    rng, make = world.rng, world.make
    victim = world.anyone()
    place = Place(make.device(emulator=rng.random() < 0.2), make.ip(hosting=rng.random() < 0.5))
    at = start
    for _ in range(rng.randint(1, 9)):
        yield Step(at, "login", login(victim, place, succeeded=False), True)
        at += 3 + rng.expovariate(1 / 20)
    yield Step(at, "login", login(victim, place, succeeded=True), True)
    drop = make.address()
    for _ in range(rng.randint(1, 3)):
        at += 30 + rng.expovariate(1 / 90)
        lines = basket(rng, rng.choice(("phone", "gift_card")), most_items=2)
        parts = who(victim, place) | {"order": order(world.order_id(), lines, drop)}
        payment = victim.payments[0] if rng.random() < 0.7 else make.payment()
        yield Step(at, "checkout", parts | {"payment": payment}, True)
        outcome = "authorized" if rng.random() < 0.6 else "declined"
        yield Step(at + 5, "payment", parts | {"payment": payment | {"outcome": outcome}}, True)
