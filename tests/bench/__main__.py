"""`make bench`: what does a decision cost here?

Starts the real service on servers of its own in a temporary directory, and the yardstick
(`tests/bench/bare.py`), and measures both in one run with the same bodies. Ratios are what to
compare between machines; absolute figures belong to the machine and what else runs on it.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import psutil
from rich.console import Console
from rich.table import Table

from tests.bench.bodies import hot_device_bodies, redemption_bodies, stream_bodies
from tests.served import Served, free_port, served, touchstone

ROUNDS = 3


@dataclass(frozen=True)
class Load:
    """What one run of the load generator saw; latencies in ms, CPU in µs per request."""

    requests: int
    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: dict[str, float]
    client_cpu_us: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table, and return 0; figures are compared by people, not by exit codes."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--requests", type=int, default=6000, help="requests of a run")
    parser.add_argument("--hot", type=int, default=100_000, help="events of the hot device")
    parser.add_argument("--markdown", type=Path, help="also write the table to this file")
    options = parser.parse_args(arguments)
    console = Console()
    with tempfile.TemporaryDirectory(prefix="touchstone-bench-") as base:
        bench = Bench(Path(base), options.requests, console)
        rows = bench.run(options.hot)
    _show(console, rows)
    if options.markdown is not None:
        options.markdown.write_text(_markdown(rows), encoding="utf-8")
    return 0


class Bench:
    """One run of all measurements under one temporary directory."""

    def __init__(self, base: Path, requests: int, console: Console) -> None:
        self._var = base / "var"
        self._base = base
        self._requests = requests
        self._console = console
        self._runs = 0
        self._sent = self._failed = 0
        self._failures: list[str] = []

    def run(self, hot_events: int) -> list[tuple[str, str, str]]:
        """Return rows of (what, measured, target)."""
        self._say("training a model of 200 trees")
        subprocess.run(touchstone("train", "--var", str(self._var)), check=True, stdout=sys.stderr)
        rows = []
        with self._service(workers=1) as service:
            key = self._key()
            self._say("warming up")
            self._load(service, key, 8, stream_bodies(1500, "warm"))
            self._say("one client")
            alone = self._load(service, key, 1, stream_bodies(self._requests // 2, "alone"))
            rows.append(("one client, p50", f"{alone.p50_ms:.2f} ms", "≤ 1.5 ms"))
            rows.append(("one client, p99", f"{alone.p99_ms:.2f} ms", "≤ 4 ms"))
            rows += self._ratio(service, key)
            rows += self._hot(service, key, hot_events)
        with self._service(workers=2) as service:
            self._load(service, key, 8, stream_bodies(1500, "warm-2"))
            self._say("closed loop, 2 workers, 32 clients")
            loads = [
                self._load(service, key, 32, stream_bodies(self._requests, f"closed-{index}"))
                for index in range(ROUNDS)
            ]
            load = max(loads, key=lambda one: one.per_second)
            middle = median(one.per_second for one in loads)
            rows.append(
                (
                    f"2 workers, 32 clients, median of {ROUNDS} (best)",
                    f"{middle:,.0f} ({load.per_second:,.0f}) decisions/s",
                    "≥ 2,000/s",
                )
            )
            rows.append(("  its p50 / p99", f"{load.p50_ms:.1f} / {load.p99_ms:.1f} ms", ""))
            shares = ", ".join(f"{name} {cpu:.0f}" for name, cpu in sorted(load.cpu_us.items()))
            rows.append(
                (
                    "  its CPU, µs a decision",
                    f"{shares}, load generator {load.client_cpu_us:.0f}",
                    "",
                )
            )
        rows.append(
            (
                "refused or degraded, of all requests (warm-up included)",
                f"{self._failed:,} of {self._sent:,}",
                "",
            )
        )
        for failure in self._failures[:3]:
            self._say(failure)
        return rows

    def _ratio(self, service: Served, key: str) -> list[tuple[str, str, str]]:
        self._say("CPU against a bare FastAPI endpoint")
        port = free_port()
        command = [
            sys.executable, "-m", "uvicorn", "tests.bench.bare:create_app", "--factory",
            "--port", str(port), "--loop", "uvloop", "--http", "httptools", "--no-access-log",
            "--log-level", "warning",
        ]  # fmt: skip
        ours, declared, raw = [], [], []
        with served(command, port, "/livez", self._base / "bare.log") as bare:
            for index in range(ROUNDS):
                bodies = stream_bodies(self._requests // 2, f"ratio-{index}")
                ours.append(self._load(service, key, 16, bodies).cpu_us["service"])
                declared.append(self._load(bare, key, 16, bodies).cpu_us["service"])
                raw.append(self._load(bare, key, 16, bodies, "/raw").cpu_us["service"])
        own, bare_us, raw_us = median(ours), median(declared), median(raw)
        return [
            (
                "CPU of one worker, a decision ÷ a bare FastAPI endpoint",
                f"{own:.0f} ÷ {bare_us:.0f} µs = {own / bare_us:.2f}",
                "≤ 3.5",
            ),
            (
                "  the same ÷ FastAPI that hands the bytes to Pydantic",
                f"{own:.0f} ÷ {raw_us:.0f} µs = {own / raw_us:.2f}",
                "",
            ),
        ]

    def _hot(self, service: Served, key: str, events: int) -> list[tuple[str, str, str]]:
        self._say(f"a device with {events:,} events")
        for start in range(0, events, 20_000):
            count = min(20_000, events - start)
            self._load(service, key, 32, hot_device_bodies(count, f"hot-{start}"), "/v1/events")
        fresh, hot = [], []
        for index in range(ROUNDS):
            fresh.append(
                self._load(service, key, 1, redemption_bodies(800, f"f{index}", None)).p50_ms
            )
            hot.append(
                self._load(service, key, 1, redemption_bodies(800, f"h{index}", "hot")).p50_ms
            )
        return [
            (
                f"p50, a device with {events:,} events ÷ a new device",
                f"{median(hot):.2f} ÷ {median(fresh):.2f} ms = {median(hot) / median(fresh):.2f}",
                "≤ 1.5",
            )
        ]

    def _load(
        self,
        server: Served,
        key: str,
        clients: int,
        bodies: list[bytes],
        path: str = "/v1/score",
    ) -> Load:
        self._runs += 1
        file = self._base / f"bodies-{self._runs}"
        file.write_bytes(b"\n".join(bodies))
        before = server.cpu_seconds()
        command = [sys.executable, "-m", "tests.bench.load"]
        command += [str(server.port), path, key, str(clients), str(file)]
        done = subprocess.run(command, check=True, capture_output=True)
        after = server.cpu_seconds()
        file.unlink()
        result = json.loads(done.stdout)
        self._failed += result["failure_count"]
        self._sent += len(result["latency_seconds"])
        self._failures += result["failures"]
        latencies = sorted(result["latency_seconds"])
        return Load(
            requests=len(latencies),
            per_second=len(latencies) / result["elapsed_seconds"],
            p50_ms=latencies[len(latencies) // 2] * 1000,
            p99_ms=latencies[int(len(latencies) * 0.99)] * 1000,
            cpu_us={
                name: (after[name] - before.get(name, 0.0)) / len(latencies) * 1e6 for name in after
            },
            client_cpu_us=result["cpu_seconds"] / len(latencies) * 1e6,
        )

    def _service(self, workers: int):  # type: ignore[no-untyped-def]  # a context manager of Served
        port = free_port()
        command = touchstone(
            "serve", "--port", str(port), "--workers", str(workers), "--var", str(self._var)
        )
        clock = {"TOUCHSTONE_CLOCK": "event"}
        return served(command, port, "/readyz", self._base / "service.log", clock)

    def _key(self) -> str:
        command = touchstone(
            "keys", "create", "--name", "bench", "--scopes", "score,events:write",
            "--var", str(self._var),
        )  # fmt: skip
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def _say(self, what: str) -> None:
        self._console.print(f"[dim]{what} …[/dim]")


def _machine() -> str:
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{psutil.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d}"
    )


def _show(console: Console, rows: list[tuple[str, str, str]]) -> None:
    table = Table(title=f"On {_machine()}; load generator, servers and workers share the cores")
    for name in ("what", "measured", "target"):
        table.add_column(name)
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _markdown(rows: list[tuple[str, str, str]]) -> str:
    lines = [f"On {_machine()}; load generator, servers and workers share the cores.", ""]
    lines += ["| what | measured | target |", "|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
