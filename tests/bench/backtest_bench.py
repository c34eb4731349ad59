"""What a backtest costs: `python -m tests.bench.backtest_bench`.

Makes a table of a million events with facts, and lets a candidate of 50 rules decide it beside a
baseline of 50 rules of which five differ; every rule applies to every event. Then the same over
decisions of a ledger, which have to be opened first. Prints seconds, CPU of this program and its
processes (not of PostgreSQL), and peak memory. Nothing here asserts a time.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.catalog import Catalog
from rules.files import SHIPPED, RuleSetFiles
from service.backtest.order import FactsTable, Order, Recorded, Source
from service.backtest.run import run
from service.embedded import EmbeddedServers
from service.migrate import migrate
from service.settings import Settings
from tests.integration.history_cases import KEK, START, entry, store
from tests.running import TAG_KEY

START_MS = 1_750_000_000_000
TYPES = ("login", "checkout", "payment", "coupon_redemption", "return_request", "signup")
ROW_GROUP = 50_000
FACTS = 40  # different facts that the rules read, as many as a real set of 50 rules


class Figures(NamedTuple):
    """What one run took."""

    source: str
    events: int
    rules: int
    processes: int
    seconds: float
    cpu_seconds: float
    peak_mb: float


def counts() -> list[str]:
    """Return whole-number features of the catalog, as many as the rules read."""
    types = Catalog.load().fact_types
    names = [name for name, kind in types.items() if kind == "int" and "." not in name]
    return names[:FACTS]


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
            for name in counts():
                columns[name] = pa.array(rng.geometric(0.4, rows) - 1)
            writer.write_table(pa.table(columns, schema=_schema()))


def _schema() -> pa.Schema:
    kinds = {
        "event_tag": pa.string(), "observed_ms": pa.int64(), "event.type": pa.string(),
        "label": pa.int64(), "score": pa.float64(), "order.amount_base_minor": pa.int64(),
        "order.channel": pa.string(), "device.is_emulator": pa.bool_(),
        **dict.fromkeys(counts(), pa.int64()),
    }  # fmt: skip
    return pa.schema(list(kinds.items()))


def rule_set(rules: int, *, shift: int = 0) -> RuleSetFiles:
    """Return a set of so many rules over every event type; `shift` moves every tenth threshold."""
    shipped = RuleSetFiles.load(SHIPPED)
    names = counts()
    lines = ["pack: bench", "owner: bench", "rules:"]
    for number in range(rules):
        one, other, third = (names[(number * step) % FACTS] for step in (1, 3, 7))
        least = 6 + number % 7 + (shift if number % 10 == 0 else 0)
        lines += [
            f"  - id: bench-{number}",
            "    description: a rule of the bench",
            f"    event_types: [{', '.join(TYPES)}]",
            f"    when: {one} >= {least} && ({other} > {number % 3} || {third} > 4)",
            f"    outcome: {('challenge', 'review', 'decline')[number % 3]}",
            "    reason: COUPON_SHARED_DEVICE",
            "    threshold: {source: bench, false_alarms: none}",
        ]
    texts = {name: text for name, text in shipped.texts.items() if not name.startswith("packs/")}
    return RuleSetFiles.of({**texts, "packs/bench.yaml": "\n".join(lines) + "\n"})


def measure(source: Source, settings: Settings, events: int, rules: int, processes: int) -> Figures:
    """Run one backtest and say what it took."""
    order = Order(
        settings=settings,
        candidate=dict(rule_set(rules, shift=-2).texts),
        baseline=dict(rule_set(rules).texts),
        source=source,
        processes=processes,
    )
    began, cpu = time.perf_counter(), _cpu()
    result = run(order, lambda done, total: None)
    assert result["source"]["events"] == events
    peak = max(
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    seconds = time.perf_counter() - began
    kind = result["source"]["kind"]
    return Figures(kind, events, rules, processes, seconds, _cpu() - cpu, peak / 1024)


def of_facts(folder: Path, events: int, rules: int, processes: int) -> Figures:
    """Measure over a table of facts."""
    path = folder / "facts.parquet"
    write_facts(path, events, seed=1)
    return measure(FactsTable(path), Settings(var=folder), events, rules, processes)


def of_ledger(folder: Path, events: int, rules: int, processes: int) -> Figures:
    """Measure over decisions of a ledger, which are sealed and hold 120 facts each."""
    rng = np.random.default_rng(2)
    names = [n for n, kind in Catalog.load().fact_types.items() if kind in ("int", "double")][:120]
    drafts = []
    for number in range(events):
        at = START + timedelta(seconds=number)
        facts = dict(zip(names, (rng.geometric(0.4, len(names)) - 1).tolist(), strict=True))
        subject = {
            "tags": {"user": f"u-{number % 5000}"}, "writes": {}, "occurred_at": at,
            "observed_ms": round(at.timestamp() * 1000), "facts": facts,
            "fields": {"event.type": TYPES[number % 6], "order.amount_base_minor": number},
        }  # fmt: skip
        drafts.append(entry(at, subject=subject))
    with EmbeddedServers.start(folder / "servers", valkey=False) as servers:
        assert servers.postgres_url is not None
        asyncio.run(migrate(servers.postgres_url))
        asyncio.run(store(servers.postgres_url, drafts))
        kek, tag = folder / "kek.key", folder / "tag.key"
        for path, key in ((kek, KEK), (tag, TAG_KEY)):
            path.write_bytes(key)
            path.chmod(0o600)
        settings = Settings(
            var=folder,
            postgres={"url": servers.postgres_url},
            keys={"kek_file": kek, "tag_key_file": tag},
        )
        since = round(START.timestamp() * 1000)
        source = Recorded(since, since + 1000 * events, START)
        return measure(source, settings, events, rules, processes)


def _cpu() -> float:
    total = 0.0
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        used = resource.getrusage(who)
        total += used.ru_utime + used.ru_stime
    return total


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--ledger", type=int, default=50_000, help="decisions of the ledger")
    parser.add_argument("--rules", type=int, default=50)
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    for kind, events in ((of_facts, given.events), (of_ledger, given.ledger)):
        if events:
            with tempfile.TemporaryDirectory() as folder:
                _say(kind(Path(folder), events, given.rules, given.processes))
    return 0


def _say(figures: Figures) -> None:
    sys.stdout.write(
        f"{figures.source}: {figures.events} events x {figures.rules} rules, "
        f"{figures.processes} processes: {figures.seconds:.1f} s, {figures.cpu_seconds:.1f} s of "
        f"CPU ({figures.cpu_seconds / figures.events * 1e6:.0f} us an event), "
        f"{figures.peak_mb:.0f} MB a process at most\n"
    )


if __name__ == "__main__":
    sys.exit(main())
