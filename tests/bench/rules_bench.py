"""What a rule costs: `python -m tests.bench.rules_bench`.

Evaluates 50 to 1,000 rules on a real check-out, with all counters, with the counters away and
without a device, and prints the CPU that one rule more costs (a straight line through the medians).
Then what a rule set of 1,000 costs when it is loaded. Nothing here asserts a time.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from statistics import linear_regression, median
from typing import Any, NamedTuple

from features.catalog import Catalog
from features.event import parse_event
from features.event_types import EVENT_TYPES
from features.money import CurrencyTable
from features.observe import observation_of
from features.tags import Tagger, derive_tag_keys
from features.vector import assemble
from features.velocity.memory_store import MemoryVelocityStore
from rules.decision import Outcome
from rules.engine import Engine
from rules.rule import Rule, Threshold
from rules.ruleset import RuleSet

EVENT = "checkout"
BODY = EVENT_TYPES[EVENT].example
CURRENCIES = CurrencyTable("CNY", {"CNY": 2}, {})
SIZES = (50, 100, 200, 400, 700, 1000)
ROUNDS = 40
TARGET_US = 2.5


class Figures(NamedTuple):
    """CPU in µs: of one rule more, by what is known of the event; of everything with 1,000."""

    rule_us: Mapping[str, float]
    thousand_us: Mapping[str, float]
    one_by_one_us: float
    first_event_us: float
    load_ms: float
    longest_piece_ms: float


def measure() -> Figures:
    """Return all figures."""
    catalog = Catalog.load()
    events = _events(catalog)
    engines = {size: _engine(catalog, size) for size in SIZES}
    rule_us, thousand_us = {}, {}
    for name, facts in events.items():
        costs = [_cost(partial(engine.evaluate, EVENT, facts)) for engine in engines.values()]
        rule_us[name] = linear_regression(SIZES, costs).slope
        thousand_us[name] = costs[-1]
    largest, known = engines[SIZES[-1]], events["all facts"]
    ruleset = _ruleset(catalog, SIZES[-1])
    pieces = [time.process_time()]
    Engine(ruleset, catalog.fact_types, lambda: pieces.append(time.process_time()))
    fresh = _engine(catalog, SIZES[-1])
    first = _once(lambda: fresh.evaluate(EVENT, events["counters away"]))
    return Figures(
        rule_us,
        thousand_us,
        _cost(lambda: largest.evaluate_one_by_one(EVENT, known), rounds=8),
        first,
        (pieces[-1] - pieces[0]) * 1e3,
        max(after - before for before, after in pairwise(pieces)) * 1e3,
    )


def rows() -> list[tuple[str, str, str]]:
    """Return rows of (what, measured, target) for the table of figures."""
    found = measure()
    shown = [
        (f"CPU of one rule more, {name}", f"{cost:.2f} µs", f"≤ {TARGET_US} µs")
        for name, cost in found.rule_us.items()
    ]
    by_list = found.thousand_us["all facts"]
    return [
        *shown,
        ("  1,000 rules on one event", f"{by_list:,.0f} µs", "≤ 2,500 µs"),
        ("  the same one by one", f"{found.one_by_one_us:,.0f} µs", ""),
        ("  first event with other facts missing", f"{found.first_event_us:,.0f} µs", ""),
        ("  loading 1,000 rules", f"{found.load_ms:,.0f} ms", ""),
        ("  longest piece of it", f"{found.longest_piece_ms:.1f} ms", "≤ 2 ms"),
    ]


def _engine(catalog: Catalog, size: int) -> Engine:
    return Engine(_ruleset(catalog, size), catalog.fact_types)


def _ruleset(catalog: Catalog, size: int) -> RuleSet:
    counters = sorted(name for name, value in _counters(catalog).items() if type(value) is int)
    drawn = random.Random(size)
    return RuleSet.of(
        Rule(
            id=f"rule-{index:04d}",
            description="",
            owner="",
            event_types=(EVENT,),
            when=_expression(drawn, index, counters),
            outcome=Outcome.REVIEW,
            reason="R",
            threshold=Threshold("", ""),
        )
        for index in range(size)
    )


def _expression(drawn: random.Random, index: int, counters: list[str]) -> str:
    """Return a rule like the shipped ones: a part that is there, and one to three conditions."""
    one, other = drawn.sample(counters, 2)
    least = drawn.randint(0, 9)
    return (
        f"has_device && {one} >= {least} && {other} >= {least}",
        f"has_user && {one} >= {least}",
        f"known.event_account_age_seconds && event_account_age_seconds < {index}.0 && {one} > 1",
        f"order.channel == 'channel_{index}' || ({one} >= {least} && {other} > 20)",
        f"in_list('watched_{index % 20}', 'user') && {one} >= {least}",
    )[index % 5]


def _events(catalog: Catalog) -> dict[str, dict[str, Any]]:
    """Return the facts of a check-out with everything, without counters, and without a device."""
    listed = {f"list.watched_{index}.user": index == 3 for index in range(20)}
    found = {}
    for name, sent, is_counted in (
        ("all facts", BODY, True),
        ("counters away", BODY, False),
        ("no device", {key: part for key, part in BODY.items() if key != "device"}, True),
    ):
        event = parse_event(json.dumps(sent).encode())
        values = _counters(catalog, sent) if is_counted else {}
        found[name] = {**assemble(event, values, catalog, CURRENCIES).values, **listed}
    return found


def _counters(catalog: Catalog, body: Mapping[str, Any] = BODY) -> Mapping[str, Any]:
    event = parse_event(json.dumps(body).encode())
    tagger = Tagger(derive_tag_keys(b"k" * 32))
    observed = observation_of(event, catalog, tagger, CURRENCIES, 1_800_000_000_000)
    return MemoryVelocityStore().observe_now(observed)


def _cost(act: Callable[[], object], rounds: int = ROUNDS) -> float:
    act()
    return median(_once(act) for _ in range(rounds))


def _once(act: Callable[[], object]) -> float:
    started = time.process_time_ns()
    act()
    return (time.process_time_ns() - started) / 1e3


def main() -> None:
    """Print the figures."""
    for what, measured, target in rows():
        print(f"{what:48} {measured:>12}  {target}")


if __name__ == "__main__":
    main()
