"""How does a scenario say what happens next?

A scenario is a generator of steps in time order; `stream.py` merges many of them and gives ids.
The functions here build the parts of an event for one person on one device and network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from training.labelled import Json
from training.simulator.goods import total
from training.simulator.people import Person
from training.simulator.world import World


class Step(NamedTuple):
    """One event to be: seconds since 1970, type, parts, and whether it is abuse."""

    at: float
    type: str
    parts: Json
    abusive: bool


Scenario = Callable[[World, float], Iterator[Step]]


class Place(NamedTuple):
    """Where a person sits: the device and the address of the network."""

    device: Json | None
    ip: str | None


def iso(at: float) -> str:
    """Return RFC 3339 text in UTC with milliseconds.

    >>> iso(0.25)
    '1970-01-01T00:00:00.250Z'
    """
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def usual_place(world: World, person: Person) -> Place:
    """Return one of the person's own devices and networks."""
    rng = world.rng
    return Place(rng.choice(person.devices), rng.choice(person.ips))


def who(person: Person, place: Place) -> Json:
    """Return the parts that every event of a known person has."""
    parts: Json = {
        "user": {
            "id": person.id,
            "email": person.email,
            "phone": person.phone,
            "created_at": iso(person.created_at),
        }
    }
    if place.device is not None:
        parts["device"] = place.device
    if place.ip is not None:
        parts["network"] = {"ip": place.ip}
    return parts


def login(person: Person, place: Place, *, succeeded: bool, method: str = "password") -> Json:
    """Return the parts of a login."""
    return who(person, place) | {"login": {"succeeded": succeeded, "method": method}}


def order(order_id: str, lines: list[Json], address: Json, *, channel: str = "normal") -> Json:
    """Return an order part."""
    return {
        "id": order_id,
        "amount_minor": total(lines),
        "currency": "CNY",
        "channel": channel,
        "items": lines,
        "shipping_address": address,
    }


def coupon(campaign: str, code: str, value_minor: int) -> Json:
    """Return a coupon part."""
    return {"campaign": campaign, "code": code, "value_minor": value_minor}


def refund(order_id: str, reason: str, amount_minor: int) -> Json:
    """Return a return part."""
    return {
        "order_id": order_id,
        "reason": reason,
        "amount_minor": amount_minor,
        "currency": "CNY",
        "item_value_minor": amount_minor,
    }
