"""Lists of leaked passwords are tried on many accounts from a few addresses.

Stuffing is fast, one try an account, and hits one in thirty; spraying tries one common password
slowly on many accounts, so that no single account sees many failures.
"""

from __future__ import annotations

from collections.abc import Iterator

from training.simulator.steps import Place, Step, login
from training.simulator.world import World


def credential_stuffing(world: World, start: float) -> Iterator[Step]:
    """Try many accounts within minutes from one or two hosting addresses."""
    rng, make = world.rng, world.make
    script = make.device(automated=rng.random() < 0.6)
    ips = [make.ip(hosting=True) for _ in range(rng.randint(1, 2))]
    at = start
    for _ in range(rng.randint(20, 60)):
        place = Place(script, rng.choice(ips))
        parts = login(world.anyone(), place, succeeded=rng.random() < 0.03)
        yield Step(at, "login", parts, True)
        at += 0.2 + rng.expovariate(1 / 4)


def password_spraying(world: World, start: float) -> Iterator[Step]:
    """Try one password on many accounts, a try every few minutes, from rotating addresses."""
    rng, make = world.rng, world.make
    ips = [make.ip(hosting=rng.random() < 0.5) for _ in range(rng.randint(2, 4))]
    devices = [make.device() for _ in range(2)]
    at = start
    for _ in range(rng.randint(15, 35)):
        place = Place(rng.choice(devices), rng.choice(ips))
        parts = login(world.anyone(), place, succeeded=rng.random() < 0.02)
        yield Step(at, "login", parts, True)
        at += 20 + rng.expovariate(1 / 120)
