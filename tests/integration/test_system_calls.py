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
    assert hits >= len(chosen) - 1  # which thread makes a call varies a little


async def test_what_the_signer_remembers_is_on_disk_before_it_has_its_name(
    fresh_postgres_url: str, tmp_path: Path
) -> None:
    """Every file is written beside, made durable, renamed, and its directory made durable."""
    if (why := why_not()) is not None:
        pytest.skip(why)
    with trials(fresh_postgres_url, tmp_path) as running:
        calls = await running.calls("signing")
    steps = ["openat", "write", "fsync", "rename", "openat", "fsync"]
    places = [number for number, call in enumerate(calls) if call.where.endswith(".new")]
    begins = [number for number in places if calls[number].call == "openat"]
    assert len(begins) > 5
    for number in begins:
        found = calls[number : number + len(steps)]
        assert [call.call for call in found] == steps
        name = found[0].where
        assert [call.where for call in found] == [name] * 4 + ["/signer"] * 2


def some(points: list[Point]) -> list[Point]:
    """The first and the last call of each kind: a first key or file, and one of later rounds."""
    kinds: dict[str, list[Point]] = {}
    for point in points:
        kinds.setdefault(point.call, []).append(point)
    return [point for found in kinds.values() for point in dict.fromkeys((found[0], found[-1]))]
