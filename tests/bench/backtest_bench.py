"""What a backtest costs: `python -m tests.bench.backtest_bench`.

Makes a table of a million events with facts, and lets a candidate of 50 rules decide it beside a
baseline of 50 rules of which five differ; every rule applies to every event. Prints seconds, CPU
and peak memory. Nothing here asserts a time.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rules.files import SHIPPED, RuleSetFiles
from service.backtest.order import FactsTable, Order
from service.backtest.run import run
from service.settings import Settings

START_MS = 1_750_000_000_000
TYPES = ("login", "checkout", "payment", "coupon_redemption", "return_request", "signup")
ROW_GROUP = 50_000
COUNTS = (
    "user_orders_30d", "user_returns_30d", "user_returns_7d", "device_distinct_users_24h",
    "ip_distinct_users_1h", "user_coupon_redemptions_7d", "user_coupon_redemptions_24h",
    "device_coupon_redemptions_24h", "user_granted_redemptions_7d", "user_returns_90d",
)  # fmt: skip


class Figures(NamedTuple):
    """What one run took."""

    events: int
    rules: int
    processes: int
    seconds: float
    cpu_seconds: float
    peak_mb: float


def write_facts(path: Path, events: int, seed: int) -> None:
    """Write a table of facts as `touchstone features compute --facts --labels` does."""
    rng = np.random.default_rng(seed)
    with pq.ParquetWriter(path, _schema(), compression="zstd") as writer:
        for begin in range(0, events, ROW_GROUP):
            rows = min(ROW_GROUP, events - begin)
            columns: dict[str, pa.Array] = {
                "event_tag": pa.array([f"e{begin + row}" for row in range(rows)]),
                "observed_ms": pa.array(START_MS + 7_000 * np.arange(begin, begin + rows)),
                "event.type": pa.array(rng.choice(TYPES, rows)),
                "label": pa.array(rng.random(rows) < 0.02, mask=rng.random(rows) < 0.5).cast(
                    pa.int64()
                ),
                "score": pa.array(rng.beta(0.5, 12, rows)),
                "order.amount_base_minor": pa.array(
                    rng.lognormal(9, 1, rows).astype(np.int64), mask=rng.random(rows) < 0.3
                ),
                "order.channel": pa.array(rng.choice(("app", "web", "mini"), rows)),
                "device.is_emulator": pa.array(
                    rng.random(rows) < 0.01, mask=rng.random(rows) < 0.2
                ),
            }
            for name in COUNTS:
                columns[name] = pa.array(rng.geometric(0.4, rows) - 1)
            writer.write_table(pa.table(columns, schema=_schema()))


def _schema() -> pa.Schema:
    kinds = {
        "event_tag": pa.string(), "observed_ms": pa.int64(), "event.type": pa.string(),
        "label": pa.int64(), "score": pa.float64(), "order.amount_base_minor": pa.int64(),
        "order.channel": pa.string(), "device.is_emulator": pa.bool_(),
        **dict.fromkeys(COUNTS, pa.int64()),
    }  # fmt: skip
    return pa.schema(list(kinds.items()))


def rule_set(rules: int, *, shift: int = 0) -> RuleSetFiles:
    """Return a set of so many rules over every event type; `shift` moves every tenth threshold."""
    shipped = RuleSetFiles.load(SHIPPED)
    lines = ["pack: bench", "owner: bench", "rules:"]
    for number in range(rules):
        one, other = COUNTS[number % len(COUNTS)], COUNTS[(number * 3 + 1) % len(COUNTS)]
        least = 6 + number % 7 + (shift if number % 10 == 0 else 0)
        lines += [
            f"  - id: bench-{number}",
            "    description: a rule of the bench",
            f"    event_types: [{', '.join(TYPES)}]",
            f"    when: {one} >= {least} && {other} > {number % 3}",
            f"    outcome: {('challenge', 'review', 'decline')[number % 3]}",
            "    reason: COUPON_SHARED_DEVICE",
            "    threshold: {source: bench, false_alarms: none}",
        ]
    texts = {name: text for name, text in shipped.texts.items() if not name.startswith("packs/")}
    return RuleSetFiles.of({**texts, "packs/bench.yaml": "\n".join(lines) + "\n"})


def measure(path: Path, events: int, rules: int, processes: int, var: Path) -> Figures:
    """Run one backtest and say what it took."""
    order = Order(
        settings=Settings(var=var),
        candidate=dict(rule_set(rules, shift=-2).texts),
        baseline=dict(rule_set(rules).texts),
        source=FactsTable(path),
        processes=processes,
    )
    began, cpu = time.perf_counter(), _cpu()
    result = run(order, lambda done, total: None)
    assert result["source"]["events"] == events
    peak = max(
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return Figures(events, rules, processes, time.perf_counter() - began, _cpu() - cpu, peak / 1024)


def _cpu() -> float:
    total = 0.0
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        used = resource.getrusage(who)
        total += used.ru_utime + used.ru_stime
    return total


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rules", type=int, default=50)
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "facts.parquet"
        write_facts(path, given.events, seed=1)
        figures = measure(path, given.events, given.rules, given.processes, Path(folder))
    sys.stdout.write(
        f"{figures.events} events x {figures.rules} rules, {figures.processes} processes: "
        f"{figures.seconds:.1f} s, {figures.cpu_seconds:.1f} s of CPU "
        f"({figures.cpu_seconds / figures.events * 1e6:.0f} us an event), "
        f"{figures.peak_mb:.0f} MB a process at most\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
