"""An account that buys in order to send back, or to claim that nothing came.

Only the return requests are labelled: the orders before them look like anybody's, and a label on
them would ask the model to guess.
"""

from __future__ import annotations

from collections.abc import Iterator

from training.simulator.goods import basket, total
from training.simulator.people import DAY
from training.simulator.steps import Step, login, order, refund, usual_place, who
from training.simulator.world import World


def return_abuser(world: World, start: float) -> Iterator[Step]:
    """Order every few hours and ask for the money back for nearly everything."""
    rng = world.rng
    person = world.anyone()
    claims_missing = rng.random() < 0.5
    at, pause = start, DAY * rng.uniform(0.1, 0.5)
    due: list[Step] = []
    for _ in range(rng.randint(5, 11)):
        place = usual_place(world, person)
        lines = basket(rng, "clothing", most_items=3)
        order_id = world.order_id()
        parts = who(person, place) | {"order": order(order_id, lines, person.address)}
        payment = person.payments[0]
        shopping = [
            Step(at, "login", login(person, place, succeeded=True), False),
            Step(at + 300, "checkout", parts | {"payment": payment}, False),
            Step(
                at + 310, "payment", parts | {"payment": payment | {"outcome": "authorized"}}, False
            ),
        ]
        if rng.random() < 0.85:
            reason = "not_received" if claims_missing else rng.choice(("damaged", "changed_mind"))
            part = refund(order_id, reason, total(lines))
            back = who(person, place) | {"return": part}
            due.append(Step(at + DAY * rng.uniform(0.2, 2), "return_request", back, True))
        for step in shopping:
            yield from _until(due, step.at)
            yield step
        at += 600 + rng.expovariate(1 / pause)
    yield from _until(due, float("inf"))


def _until(due: list[Step], at: float) -> Iterator[Step]:
    due.sort(key=lambda step: step.at)
    while due and due[0].at <= at:
        yield due.pop(0)
