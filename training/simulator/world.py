"""Which people and places do the scenarios of one run share?

The population lives through a run: sign-ups join it, orders are remembered so that they can be
returned. Invariant: one seed, size and settling time give the same initial population in every
run, so that a later run meets the customers of an earlier one; whoever joins carries its prefix.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from random import Random

from training.simulator.people import DAY, Maker, Person

WELCOME = "NEW50"
CAMPAIGNS = ("SPRING", "MEMBER", "WEEKEND", "LIVE", "GROCERY")


class World:
    """People, shared networks and the random generator of a run."""

    def __init__(self, seed: int, run: str, settled: float, population: int) -> None:
        settlers = Random(f"{seed}/population")
        maker = Maker(settlers, f"s{seed:x}")
        self.people = [
            maker.person(settled - DAY * settlers.uniform(1, 700)) for _ in range(population)
        ]
        _settle_together(settlers, self.people, maker)
        self.rng = Random(f"{seed}/{run}")
        self.make = Maker(self.rng, run)
        self._weights = list(accumulate(person.weight for person in self.people))

    def anyone(self) -> Person:
        """Return a customer; active ones come up more often."""
        at = self.rng.random() * self._weights[-1]
        return self.people[bisect_right(self._weights, at)]

    def join(self, person: Person) -> None:
        """Let a customer who signed up come back later."""
        self.people.append(person)
        self._weights.append(self._weights[-1] + person.weight)

    def order_id(self) -> str:
        """Return a fresh order id."""
        return self.make.id("o")


def _settle_together(rng: Random, people: list[Person], maker: Maker) -> None:
    """Let households share a line, an address and at times a tablet; offices share an IP."""
    index = 0
    while index < len(people) - 4:
        size = rng.choices((1, 2, 3, 4), (55, 25, 12, 8))[0]
        home, tablet = people[index], maker.device()
        for member in people[index + 1 : index + size]:
            member.ips[0] = home.ips[0]
            member.address = home.address
            if rng.random() < 0.25:
                member.payments[0] = home.payments[0]
        if size > 1 and rng.random() < 0.5:
            for member in people[index : index + size]:
                member.devices.append(tablet)
        index += size
    shared = [maker.ip() for _ in range(max(2, len(people) // 60))]
    for person in people:
        if rng.random() < 0.45:
            person.ips.append(rng.choice(shared))
