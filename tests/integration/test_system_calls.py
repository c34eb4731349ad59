"""A disk that fails, or a kill, at some system calls of spool and signer. All: `make soak`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.faults import FAULTS, Point, trials, why_not


@pytest.mark.parametrize("scenario", ["signing", "spooling", "draining"])
async def test_a_fault_loses_nothing_and_leaves_nothing_behind(
    fresh_postgres_url: str, tmp_path: Path, scenario: str
) -> None:
    """Afterwards what was acknowledged is there once, every checkpoint holds, and fsck is clean."""
    if (why := why_not()) is not None:
        pytest.skip(why)
    with trials(fresh_postgres_url, tmp_path) as running:
        chosen = some(await running.points(scenario))
        assert {point.call for point in chosen} >= {"openat", "fsync"}
        hits = 0
        for number, point in enumerate(chosen):
            outcome = await running.outcome(point, FAULTS[number % len(FAULTS)])
            assert outcome.wrong == (), outcome
            hits += outcome.hit
    assert hits == len(chosen)


def some(points: list[Point]) -> list[Point]:
    """The first and the last call of each kind: a first key or file, and one of later rounds."""
    kinds: dict[str, list[Point]] = {}
    for point in points:
        kinds.setdefault(point.call, []).append(point)
    return [point for found in kinds.values() for point in dict.fromkeys((found[0], found[-1]))]
