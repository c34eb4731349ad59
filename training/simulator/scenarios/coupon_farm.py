"""One person, many accounts: the welcome coupon again and again.

The careless farm sits on one device with aliases of one mailbox; the careful one rotates devices
and cards and is held together by its address and its network.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from training.simulator.goods import basket
from training.simulator.people import DISPOSABLE_MAIL, Person
from training.simulator.steps import Place, Step, coupon, order, who
from training.simulator.world import WELCOME, World


def coupon_farm(world: World, start: float) -> Iterator[Step]:
    """Open accounts, redeem the welcome coupon with each, order to one address."""
    rng, make = world.rng, world.make
    careful = rng.random() < 0.4
    farmer = make.person(start)
    device = make.device(emulator=rng.random() < 0.3)
    ip = make.ip(hosting=rng.random() < 0.3)
    gap = 3600.0 if careful else 240.0
    at = start
    for number in range(rng.randint(5, 14)):
        if careful and number % 3 == 0:
            device = make.device(emulator=rng.random() < 0.3)
            farmer.payments[0] = make.payment()
        account = _account(world, farmer, at, number, careful=careful)
        place = Place(device, ip if rng.random() < 0.8 else make.ip())
        yield Step(at, "signup", who(account, place), True)
        at += 15 + rng.expovariate(1 / 40)
        parts = who(account, place)
        lines = basket(rng, "gift_card" if rng.random() < 0.3 else "grocery", most_items=2)
        parts["order"] = order(world.order_id(), lines, farmer.address)
        code = f"{WELCOME}-{make.id('c')}"
        yield Step(at, "coupon_redemption", parts | {"coupon": coupon(WELCOME, code, 5000)}, True)
        if rng.random() < 0.7:
            at += 10 + rng.expovariate(1 / 20)
            payment = farmer.payments[0]
            yield Step(at, "checkout", parts | {"payment": payment}, True)
            paid = payment | {"outcome": "authorized"}
            yield Step(at + 4, "payment", parts | {"payment": paid}, True)
        at += 30 + rng.expovariate(1 / gap)


def _account(world: World, farmer: Person, at: float, number: int, *, careful: bool) -> Person:
    account = world.make.person(at)
    if not careful:
        account.email = alias(world.rng, farmer.email, number)
        account.phone = farmer.phone if world.rng.random() < 0.3 else account.phone
    elif world.rng.random() < 0.4:
        account.email = f"{world.make.id('m')}@{world.rng.choice(DISPOSABLE_MAIL)}"
    return account


def alias(rng: Random, email: str, number: int) -> str:
    """Return another spelling of one mailbox: a tag after a plus, or dots that do not count.

    >>> alias(Random(1), "li.wei7@qq.com", 3)
    'liwei7+3@gmail.com'
    """
    name = email.split("@", maxsplit=1)[0].replace(".", "")
    if rng.random() < 0.7:
        return f"{name}+{number}@gmail.com"
    cut = 1 + number % (len(name) - 1)
    return f"{name[:cut]}.{name[cut:]}@gmail.com"
