"""What the offline executor costs: `python -m tests.bench.offline_bench`.

Makes a history of a million mixed events with hot keys (one IP of a mobile carrier, one campaign),
computes every velocity feature of the shipped catalog in a process of its own, and prints seconds,
peak memory and how many times faster that is than walking events through the store of training.
Nothing here asserts a time.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from features.catalog import Catalog
from features.fields import FIELD_TYPES
from features.history import COLUMNS
from features.observe import ask
from features.tags import Tagger, derive_tag_keys
from features.velocity.memory_store import MemoryVelocityStore
from training.offline.declared import feature_types, series_of
from training.offline.history_file import SCHEMA, open_history
from training.offline.run import CHUNK_ROWS, compute_features

DAYS = 90
START_MS = 1_750_000_000_000
SHARES = {
    "login": 0.30, "checkout": 0.26, "payment": 0.22, "coupon_redemption": 0.10,
    "return_request": 0.07, "signup": 0.05,
}  # fmt: skip
WALKED = 20_000  # events through the store of training; it is too slow for all of them


class Figures(NamedTuple):
    """What one run took."""

    events: int
    features: int
    windows: int
    generate_seconds: float
    compute_seconds: float
    peak_mb: float
    walked_us: float

    @property
    def times_faster(self) -> float:
        """Walking an event over computing it."""
        return self.walked_us / (self.compute_seconds / self.events * 1e6)


def synthetic_history(events: int, seed: int, days: int = DAYS) -> pl.DataFrame:
    """Make a history in which a few entities are hot and most are seen a few times."""
    rng = np.random.default_rng(seed)
    types = rng.choice(list(SHARES), events, p=list(SHARES.values()))
    times = START_MS + np.sort(rng.integers(0, days * 86_400_000, events))
    user = _skewed(rng, events, events // 10)
    device = np.where(rng.random(events) < 0.85, user, _skewed(rng, events, events // 8))
    ip = np.where(rng.random(events) < 0.04, 0, _skewed(rng, events, events // 12) + 1)
    is_coupon = types == "coupon_redemption"
    campaign = np.where(rng.random(events) < 0.7, 0, rng.integers(1, 200, events))
    is_paid = np.isin(types, ("checkout", "payment", "coupon_redemption"))
    has_address = np.isin(types, ("checkout", "coupon_redemption", "return_request"))
    is_back = types == "return_request"
    amount = rng.lognormal(9, 1, events).astype(np.int64)
    columns = {
        "position": pl.Series(np.arange(1, events + 1)),
        "observed_ms": pl.Series(times),
        "occurred_ms": pl.Series(times),
        "event_tag": _tags("event", np.arange(events), np.ones(events, bool)),
        "event.type": pl.Series(types),
        "tag.user": _tags("user", user, rng.random(events) < 0.97),
        "tag.device": _tags("device", device, ~is_back & (rng.random(events) < 0.95)),
        "tag.ip": _tags("ip", ip, rng.random(events) < 0.99),
        "tag.email": _tags("email", user, types == "signup"),
        "tag.phone": _tags("phone", user, (types == "signup") & (rng.random(events) < 0.6)),
        "tag.payment_instrument": _tags("card", user * 2 + rng.integers(0, 2, events), is_paid),
        "tag.shipping_address": _tags("address", user // 2, has_address),
        "tag.coupon_campaign": _tags("campaign", campaign, is_coupon),
        "order.amount_base_minor": _some(amount, np.isin(types, ("checkout", "payment"))),
        "coupon.value_base_minor": _some(amount // 10, is_coupon),
        "return_request.amount_base_minor": _some(amount, is_back),
        "return_request.reason": _some(
            rng.choice(["not_received", "changed_mind", "damaged"], events), is_back
        ),
        "login.succeeded": _some(rng.random(events) < 0.8, types == "login"),
        "payment.outcome": _some(
            rng.choice(["captured", "declined", "failed"], events, p=[0.9, 0.06, 0.04]),
            types == "payment",
        ),
        "outcome": pl.Series(rng.choice(["approve", "challenge", "decline"], events)),
    }
    return pl.DataFrame(
        {
            name: columns[name] if name in columns else pl.Series([None]).new_from_index(0, events)
            for name in COLUMNS
        }
    ).cast({name: SCHEMA[name] for name in COLUMNS})


def _skewed(rng: np.random.Generator, events: int, size: int) -> np.ndarray:
    return (size * rng.random(events) ** 2.5).astype(np.int64)


def _some(values: np.ndarray, is_there: np.ndarray) -> pl.Series:
    return pl.select(pl.when(pl.Series(is_there)).then(pl.Series(values))).to_series()


def _tags(word: str, numbers: np.ndarray, is_there: np.ndarray) -> pl.Series:
    names = pl.Series(numbers).cast(pl.String).str.zfill(21 - len(word))
    return pl.select(pl.when(pl.Series(is_there)).then(f"{word}-" + names)).to_series()


def walked_us(history: pl.DataFrame, catalog: Catalog, events: int) -> float:
    """Walk the last events of a history through the store of training; µs an event."""
    tagger, store = Tagger(derive_tag_keys(bytes(32))), MemoryVelocityStore()
    rows = history.tail(events).to_dicts()
    asked = []
    for row in rows:
        tags = {k.removeprefix("tag."): v for k, v in row.items() if k.startswith("tag.") and v}
        fields = {k: v for k, v in row.items() if k in FIELD_TYPES and v is not None}
        plan = catalog.plan(row["event.type"])
        asked.append((plan, tags, fields, row["event_tag"], row["observed_ms"]))
    began = time.perf_counter()
    for plan, tags, fields, event_tag, observed_ms in asked:
        store.observe_now(ask(plan, tags, fields, tagger, event_tag, observed_ms).observation)
    return (time.perf_counter() - began) / len(rows) * 1e6


def _compute(path: str, out: str, chunk_rows: int) -> tuple[float, float]:
    began = time.perf_counter()
    catalog = Catalog.load()
    compute_features(open_history(Path(path), chunk_rows), Path(out), catalog)
    seconds = time.perf_counter() - began
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(events: int, seed: int, chunk_rows: int = CHUNK_ROWS) -> Figures:
    """Make a history, compute its features, and walk some of it for comparison."""
    catalog = Catalog.load()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "history.parquet"
        began = time.perf_counter()
        history = synthetic_history(events, seed)
        history.write_parquet(path)
        generated = time.perf_counter() - began
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            out = str(path.with_name("features.parquet"))
            seconds, peak = pool.submit(_compute, str(path), out, chunk_rows).result()
    walked = walked_us(history, catalog, min(events, WALKED))
    windows = sum(len(declared.plan.features) for declared in series_of(catalog))
    features = len(feature_types(catalog))
    return Figures(events, features, windows, generated, seconds, peak, walked)


def main(arguments: Sequence[str] = ()) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.offline_bench")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--chunk-rows", type=int, default=CHUNK_ROWS)
    options = parser.parse_args(arguments)
    found = measure(options.events, options.seed, options.chunk_rows)
    sys.stdout.write(
        f"{found.events:,} events, {found.windows} velocity features ({found.features} with "
        f"novelty and ratios), made in {found.generate_seconds:.1f} s\n"
        f"computed, read and written in {found.compute_seconds:.1f} s, "
        f"peak memory {found.peak_mb:,.0f} MB\n"
        f"{found.times_faster:.0f} times as fast as walking them through the store of training "
        f"({found.walked_us:.0f} µs an event)\n"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
