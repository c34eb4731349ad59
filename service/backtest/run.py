"""How is a backtest carried out from its order to its result?

Invariant: the result is the same for any number of processes.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from service.backtest.errors import BacktestError, DataUnusable
from service.backtest.facts_file import FactsFile
from service.backtest.fresh_series import warm_up_ms
from service.backtest.order import EventsFile, FactsTable, Order, Recorded
from service.backtest.part import PartResult, work
from service.backtest.processes import run_parts
from service.backtest.recorded_cases import count_read, middle_ms
from service.backtest.result import result_of
from service.backtest.sides import Sides, load_sides
from service.history.ordered import Span

Progress = Callable[[int, int | None], None]
"""Told how many of how many entries were read; None: nobody knows how many there are."""


def run(order: Order, progress: Progress) -> dict[str, Any]:
    """Carry out a backtest; return its result, which is JSON (`service/backtest/result.py`).

    Raises `BacktestError` and `CatalogError`; what `progress` raises stops it.
    """
    started = time.monotonic()
    sides = load_sides(order)
    parts, total = _parts(order, sides)
    progress(0, total)
    if len(parts) == 1:
        found = [_alone(parts[0], progress, total)]
    else:
        found = run_parts(parts, lambda done: progress(done, total))
    whole = found[0]
    for part in found[1:]:
        whole.tally.merge(part.tally)
        whole.skipped = Counter(whole.skipped) + Counter(part.skipped)
    return result_of(order, sides, whole, time.monotonic() - started)


def _alone(order: Order, progress: Progress, total: int | None) -> PartResult:
    done = 0

    def report(read: int) -> None:
        nonlocal done
        done += read
        progress(done, total)

    try:
        return work(order, report)
    except OSError as error:
        raise BacktestError(str(error)) from error


def _parts(order: Order, sides: Sides) -> tuple[list[Order], int | None]:
    source = order.source
    if isinstance(source, FactsTable):
        file = FactsFile(source.path, sides.extended.fact_types, ())
        if order.processes == 1:
            return [order], file.rows
        shares = file.parts(order.processes)
        return [replace(order, source=replace(source, row_groups=s)) for s in shares], file.rows
    if isinstance(source, EventsFile):
        return [order], _lines(source.path)
    return asyncio.run(_parts_of_ledger(order, source, sides))


async def _parts_of_ledger(
    order: Order, source: Recorded, sides: Sides
) -> tuple[list[Order], int | None]:
    import asyncpg

    span = Span(source.since_ms, source.until_ms)
    try:
        connection = await asyncpg.connect(order.settings.postgres.url)
        try:
            if sides.fresh:
                # Series are counted from event to event: one process walks through all of history.
                warm = warm_up_ms(sides.extended, sides.fresh, source.since_ms)
                types: Sequence[str] = ("decision", "event")
                return [order], await count_read(connection, Span(warm, source.until_ms), types)
            total = await count_read(connection, span, ("decision",))
            middle = await middle_ms(connection, span)
        finally:
            await connection.close(timeout=5)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise BacktestError(f"PostgreSQL cannot be used: {error}") from None
    if order.processes == 1 or middle is None or not source.since_ms < middle <= source.until_ms:
        return [order], total
    halves = (
        replace(source, until_ms=middle - 1),
        replace(source, since_ms=middle),
    )
    return [replace(order, source=half) for half in halves], total


def _lines(path: Path) -> int | None:
    if path.suffix == ".gz":
        return None
    try:
        with path.open("rb") as file:
            return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))
    except OSError as error:
        raise DataUnusable(f"{path} cannot be read: {error.strerror}") from None
