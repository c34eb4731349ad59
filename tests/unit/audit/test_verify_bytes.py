"""No byte of a package can be another: each is flipped once, in one of its bits by its place."""

from __future__ import annotations

import random

from tests.made_packages import checked, made_log, made_package


def test_every_byte_of_a_small_package() -> None:
    """A flip of any byte of a package with entries of every kind is found."""
    log = made_log(random.Random(4), 3)
    assert len({row.type for row in log.rows}) == 3
    package = bytearray(made_package(log, 0, 3, earlier=(2,)))
    assert checked(bytes(package), log.vkey)[0] == 0
    unseen = []
    for place in range(len(package)):
        package[place] ^= 1 << place % 8
        if checked(bytes(package), log.vkey)[0] == 0:
            unseen.append(place)
        package[place] ^= 1 << place % 8
    assert unseen == []
    assert len(package) > 15_000
