"""What do honest customers do, including what looks bad at first sight?

Typing errors, forgotten passwords, declined cards, a family on one tablet, eager coupon users and
honest returns are in here, so that a model or a rule that takes them for abuse is found out.
Returns follow the shape of `online-retail`, redemptions a day that of `completejourney-coupons`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

from training.simulator.goods import basket, total
from training.simulator.people import DAY, Person
from training.simulator.steps import (
    Place,
    Step,
    coupon,
    login,
    order,
    refund,
    usual_place,
    who,
)
from training.simulator.world import CAMPAIGNS, WELCOME, World

_RETURN_REASONS = (
    "does_not_fit", "changed_mind", "damaged", "not_as_described", "wrong_item", "not_received",
)  # fmt: skip
_RETURN_SHARES = (34, 30, 12, 12, 7, 5)
_LOGIN_METHODS = ("password", "sms_code", "passkey")
_LOGIN_SHARES = (60, 30, 10)


def visit(world: World, start: float) -> Iterator[Step]:
    """A customer comes back: signs in, may redeem coupons, may buy, may send something back."""
    person = world.anyone()
    place = usual_place(world, person)
    if world.rng.random() < 0.015:
        place = _new_phone(world, person, place)
    at = yield from _sign_in(world, person, place, start)
    if world.rng.random() < 0.62:
        yield from _buy(world, person, place, at + world.rng.expovariate(1 / 240), "normal")


def flash_sale_visit(world: World, start: float) -> Iterator[Step]:
    """A customer in a hurry: signs in and orders within a minute."""
    person = world.anyone()
    place = usual_place(world, person)
    at = yield from _sign_in(world, person, place, start)
    yield from _buy(world, person, place, at + 5 + world.rng.expovariate(1 / 20), "flash_sale")


def sign_up(world: World, start: float) -> Iterator[Step]:
    """Somebody new; half of them use the welcome coupon at once, as they should."""
    rng = world.rng
    person = world.make.person(start)
    if rng.random() < 0.12:  # a family member on the tablet of the house
        relative = world.anyone()
        person.devices[0] = relative.devices[-1]
        person.ips[0] = relative.ips[0]
        person.address = relative.address
    place = usual_place(world, person)
    yield Step(start, "signup", who(person, place), False)
    world.join(person)
    at = start + 20 + rng.expovariate(1 / 300)
    chance = rng.random()
    if chance < 0.5:
        yield from _buy(world, person, place, at, "normal", welcome=True)
    elif chance < 0.7:
        yield from _buy(world, person, place, at + rng.expovariate(1 / DAY), "normal")


def coupon_day(world: World, start: float) -> Iterator[Step]:
    """A household that plans its shopping by coupons: several in one basket, every few days."""
    rng = world.rng
    person = world.anyone()
    place = usual_place(world, person)
    at = yield from _sign_in(world, person, place, start)
    count = min(12, 2 + int(rng.expovariate(0.45)))
    campaign = rng.choice(CAMPAIGNS)
    for _ in range(count):
        at += 4 + rng.expovariate(1 / 25)
        part = coupon(campaign, f"{campaign}-{rng.randrange(60)}", rng.choice((200, 500, 1000)))
        yield Step(at, "coupon_redemption", who(person, place) | {"coupon": part}, False)
    yield from _buy(world, person, place, at + rng.expovariate(1 / 200), "normal", coupons=False)


def _sign_in(world: World, person: Person, place: Place, at: float) -> Generator[Step, None, float]:
    rng = world.rng
    method = rng.choices(_LOGIN_METHODS, _LOGIN_SHARES)[0]
    if method == "password":
        forgotten = rng.random() < 0.02
        while rng.random() < (0.75 if forgotten else person.clumsiness):
            yield Step(at, "login", login(person, place, succeeded=False), False)
            at += 4 + rng.expovariate(1 / 15)
        if forgotten:
            method = "sms_code"
            at += 60 + rng.expovariate(1 / 120)
    yield Step(at, "login", login(person, place, succeeded=True, method=method), False)
    return at


def _buy(
    world: World,
    person: Person,
    place: Place,
    at: float,
    channel: str,
    *,
    welcome: bool = False,
    coupons: bool = True,
) -> Iterator[Step]:
    rng = world.rng
    lines = basket(rng)
    order_id = world.order_id()
    address = person.address if rng.random() < 0.95 else world.make.address()  # a gift
    parts = who(person, place) | {"order": order(order_id, lines, address, channel=channel)}
    if welcome or (coupons and rng.random() < person.coupon_rate):
        campaign = WELCOME if welcome else rng.choice(CAMPAIGNS)
        value = 5000 if welcome else rng.choice((500, 1000, 2000, 5000))
        part = coupon(campaign, f"{campaign}-{world.make.id('c')}", value)
        yield Step(at, "coupon_redemption", parts | {"coupon": part}, False)
        at += 5 + rng.expovariate(1 / 40)
    payment = rng.choice(person.payments)
    yield Step(at, "checkout", parts | {"payment": payment}, False)
    at += 3 + rng.expovariate(1 / 20)
    while rng.random() < 0.045:
        yield Step(at, "payment", parts | {"payment": payment | {"outcome": "declined"}}, False)
        at += 10 + rng.expovariate(1 / 40)
        payment = rng.choice(person.payments)
    yield Step(at, "payment", parts | {"payment": payment | {"outcome": "authorized"}}, False)
    person.orders.append((order_id, total(lines)))
    if rng.random() < person.return_rate:
        at += DAY * (2 + rng.expovariate(1 / 5))
        line = rng.choice(lines)
        amount = line["unit_price_minor"] * line["quantity"]
        reason = rng.choices(_RETURN_REASONS, _RETURN_SHARES)[0]
        place = usual_place(world, person)
        back = {"return": refund(order_id, reason, amount)}
        yield Step(at, "return_request", who(person, place) | back, False)


def _new_phone(world: World, person: Person, place: Place) -> Place:
    person.devices.append(world.make.device())
    return Place(person.devices[-1], place.ip)
