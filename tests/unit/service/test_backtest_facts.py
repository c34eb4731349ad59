"""Backtests over a table of facts: what is counted, held against counting by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rules.files import SHIPPED, RuleSetFiles
from service.backtest.errors import BacktestError, DataUnusable, RuleSetUnusable
from service.backtest.order import FactsTable, Order
from service.backtest.run import run
from service.evidence.intervals import wilson
from service.settings import Settings

POLICY = """\
default: {challenge_at: null, review_at: 0.5, decline_at: 0.9, step_up: captcha}
"""
REASONS = (SHIPPED / "reasons.yaml").read_text(encoding="utf-8")


def rule(name: str, when: str, outcome: str, **more: str) -> str:
    """One rule of a pack, as a line of YAML."""
    extra = "".join(f", {key}: {value}" for key, value in more.items())
    return (
        f"  - {{id: {name}, description: d, event_types: [checkout, login], when: '{when}', "
        f"outcome: {outcome}, reason: COUPON_SHARED_DEVICE, "
        f"threshold: {{source: s, false_alarms: f}}{extra}}}\n"
    )


def files(*rules: str, series: str | None = None) -> RuleSetFiles:
    """A rule set of these rules."""
    texts = {
        "packs/a.yaml": "pack: a\nowner: tests\nrules:\n" + "".join(rules),
        "policy.yaml": POLICY,
        "reasons.yaml": REASONS,
    }
    return RuleSetFiles.of(texts if series is None else {**texts, "series.yaml": series})


ORDERS = "user_orders_30d"
BASELINE = files(
    rule("many-orders", f"{ORDERS} > 5", "review"),
    rule("more-orders", f"{ORDERS} > 6", "review"),
    rule("gone", "order.amount_base_minor > 900", "challenge"),
)
CANDIDATE = files(
    rule("many-orders", f"{ORDERS} > 3", "review"),
    rule("more-orders", f"{ORDERS} > 6", "review"),
    rule("fresh", "order.amount_base_minor > 800", "decline"),
    rule("watched", f"{ORDERS} >= 0", "decline", mode="shadow"),
)
EVENTS = 300


def rows() -> list[dict[str, Any]]:
    """Events with a pattern, some facts and labels missing."""
    return [
        {
            "event_tag": f"e{n}",
            "observed_ms": 1_760_000_000_000 + n * 600_000,
            "event.type": ("checkout", "login")[n % 3 == 0],
            "label": (None, 0, 0, 1)[n % 4],
            "score": (0.1, 0.6, 0.95)[n % 7 % 3],
            ORDERS: None if n % 11 == 0 else n % 10,
            "order.amount_base_minor": None if n % 3 == 0 else 37 * n % 1000,
            "order.channel": ("app", "web", None)[n % 5 % 3],
        }
        for n in range(EVENTS)
    ]


def outcome(row: dict[str, Any], side: str) -> str:
    """What a side decides, told plainly."""
    orders, amount, score = row[ORDERS], row["order.amount_base_minor"], row["score"]
    found = ["decline" if score >= 0.9 else "review" if score >= 0.5 else "approve"]
    if orders is not None and orders > (5 if side == "baseline" else 3):
        found.append("review")
    if side == "baseline" and amount is not None and amount > 900:
        found.append("challenge")
    if side == "candidate" and amount is not None and amount > 800:
        found.append("decline")
    return max(found, key=("approve", "challenge", "review", "decline").index)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """The events as a table of several row groups."""
    path = tmp_path / "facts.parquet"
    pq.write_table(pa.Table.from_pylist(rows()), path, row_group_size=64)
    return path


def order(path: Path, **more: Any) -> Order:
    given = {"candidate": dict(CANDIDATE.texts), "baseline": dict(BASELINE.texts), "processes": 1}
    return Order(settings=Settings(var=path.parent), source=FactsTable(path), **{**given, **more})


def quiet(done: int, total: int | None) -> None:
    """Tell nobody."""


def test_outcomes_money_and_transitions_are_those_counted_by_hand(table: Path) -> None:
    """Every table has the sums that a plain loop over the events has."""
    result = run(order(table), quiet)
    names = ("approve", "challenge", "review", "decline")
    counts, amounts = [[0] * 4 for _ in names], [[0] * 4 for _ in names]
    for row in rows():
        left, right = (names.index(outcome(row, side)) for side in ("baseline", "candidate"))
        counts[left][right] += 1
        amounts[left][right] += row["order.amount_base_minor"] or 0
    assert result["transitions"] == {"counts": counts, "amounts": amounts}
    for place, name in enumerate(names):
        assert result["outcomes"][name] == {
            "baseline": {"count": sum(counts[place]), "amount": sum(amounts[place])},
            "candidate": {
                "count": sum(line[place] for line in counts),
                "amount": sum(line[place] for line in amounts),
            },
        }
    stricter = sum(counts[i][j] for i in range(4) for j in range(4) if j > i)
    assert (result["stricter"]["count"], result["source"]["events"]) == (stricter, EVENTS)
    assert sum(point["events"] for point in result["over_time"]["points"]) == EVENTS
    assert sum(row["events"] for row in result["segments"]["event.type"]) == EVENTS
    channels = {row["value"]: row["events"] for row in result["segments"]["order.channel"]}
    assert channels == {
        name: sum(row["order.channel"] == name for row in rows()) for name in ("app", "web")
    }


def test_quality_is_that_counted_by_hand(table: Path) -> None:
    """Precision, recall and false-positive rate of both sides, with Wilson's intervals."""
    result = run(order(table), quiet)
    review = result["quality"][1]
    for side in ("baseline", "candidate"):
        flagged = [row for row in rows() if outcome(row, side) in ("review", "decline")]
        caught = sum(row["label"] == 1 for row in flagged)
        alarms = sum(row["label"] == 0 for row in flagged)
        abuse = sum(row["label"] == 1 for row in rows())
        honest = sum(row["label"] == 0 for row in rows())
        for name, part, whole in (
            ("precision", caught, caught + alarms),
            ("recall", caught, abuse),
            ("false_positive_rate", alarms, honest),
        ):
            found = review[side][name]
            assert (found["count"], found["of"]) == (part, whole)
            low, high = wilson(part, whole)
            assert found["low"] == pytest.approx(low, abs=1e-6)
            assert found["high"] == pytest.approx(high, abs=1e-6)
    change = review["change"]["recall"]
    assert change["low"] <= change["value"] <= change["high"]
    assert change["value"] == pytest.approx(
        review["candidate"]["recall"]["value"] - review["baseline"]["recall"]["value"], abs=1e-5
    )


def test_each_rule_says_what_it_did_and_what_it_adds(table: Path) -> None:
    """Hits, unknowns and decisive events; the rule that others make useless is named."""
    found = {row["rule"]: row for row in run(order(table), quiet)["rules"]}
    assert {name: row["change"] for name, row in found.items()} == {
        "many-orders": "changed", "more-orders": "same", "gone": "removed", "fresh": "added",
        "watched": "added",
    }  # fmt: skip
    known = [row[ORDERS] for row in rows() if row[ORDERS] is not None]
    many = found["many-orders"]
    assert many["baseline"]["hits"] == sum(orders > 5 for orders in known)
    assert many["candidate"]["hits"] == sum(orders > 3 for orders in known)
    assert many["candidate"]["unknown"] == EVENTS - len(known)
    assert found["more-orders"]["finding"] == "adds_nothing"
    assert found["more-orders"]["overlaps"][0] == {
        "rule": "many-orders", "both": found["more-orders"]["candidate"]["hits"], "share": 1.0,
    }  # fmt: skip
    assert found["watched"]["candidate"]["hits"] == len(known)
    assert found["watched"]["candidate"]["decisive"] == 0
    assert (found["watched"]["finding"], found["gone"]["candidate"]) == ("", None)
    decisive = sum(
        (row["order.amount_base_minor"] or 0) > 800
        and row["score"] < 0.9
        for row in rows()
    )  # fmt: skip
    assert found["fresh"]["candidate"]["decisive"] == decisive


def test_examples_are_the_worst_of_their_kind(table: Path) -> None:
    """New false alarms: honest, stricter, the gravest step and the most money first."""
    names = ("approve", "challenge", "review", "decline")
    worst = sorted(
        (
            (names.index(outcome(row, "candidate")) - names.index(outcome(row, "baseline")),
             row["order.amount_base_minor"] or 0, row["event_tag"])
            for row in rows()
            if row["label"] == 0
        ),
        reverse=True,
    )  # fmt: skip
    examples = run(order(table), quiet)["examples"]
    shown = [one["event"] for one in examples["false_alarms"]]
    assert shown == [name for step, _, name in worst if step > 0][:20]
    labels = {row["event_tag"]: row["label"] for row in rows()}
    assert {labels[one["event"]] for one in examples["stricter"]} == {None}
    assert {labels[one["event"]] for one in examples["let_through"]} <= {1}


def test_two_processes_find_what_one_finds(table: Path) -> None:
    """The result does not hang on how the work was shared; progress only grows, up to the end."""
    seen: list[tuple[int, int | None]] = []
    alone = run(order(table), quiet)
    shared = run(order(table, processes=2), lambda *told: seen.append(told))
    assert {**shared, "seconds": 0} == {**alone, "seconds": 0}
    assert seen == sorted(seen)
    assert seen[-1] == (EVENTS, EVENTS)


def test_a_progress_that_raises_stops_everything(table: Path) -> None:
    """As Ctrl-C does: no process is left."""
    import multiprocessing

    def stop(done: int, total: int | None) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(order(table, processes=2), stop)
    assert multiprocessing.active_children() == []


def test_values_that_are_none_are_unknown(tmp_path: Path) -> None:
    """Null, NaN, and a fact that the table lacks: the rule answers unknown, never no."""
    path = tmp_path / "facts.parquet"
    columns = {
        "event.type": ["login"] * 3,
        "observed_ms": [1, 2, 3],
        ORDERS: pa.array([float("nan"), None, 9.0]),
    }
    pq.write_table(pa.table(columns), path)
    result = run(order(path), quiet)
    many = next(row for row in result["rules"] if row["rule"] == "many-orders")
    assert (many["candidate"]["hits"], many["candidate"]["unknown"]) == (1, 2)
    assert result["source"]["unknown_facts"] == ["order.amount_base_minor"]
    assert result["notes"] == ["no_scores", "unknown_facts"]
    assert result["quality"] is None


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"no parquet", "cannot be read as Parquet"),
        (None, "cannot be read as Parquet"),
        ({"observed_ms": [1]}, "no column `event.type`"),
        ({"event.type": ["login"], "observed_ms": pa.array([None], pa.int64())}, "a row has no"),
        ({"event.type": ["login"], "observed_ms": [1], ORDERS: ["x"]}, "cannot be read"),
    ],
)
def test_a_file_that_is_no_table_of_facts_is_refused(
    tmp_path: Path, content: Any, says: str
) -> None:
    """One clear sentence that names the file, also out of another process."""
    path = tmp_path / "facts.parquet"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        pq.write_table(pa.table(content), path)
    for processes in (1, 2):
        with pytest.raises(BacktestError, match=says) as raised:
            run(order(path, processes=processes), quiet)
        assert str(path) in str(raised.value)
        assert processes == 2 or isinstance(raised.value, DataUnusable)


def test_two_meanings_of_one_series_are_refused(table: Path) -> None:
    """Sets that could not run side by side cannot be compared either."""
    row = "{{name: user_x, entity: user, measure: count, windows: [1h], events: [{}]}}"
    one, other = (
        files(rule("a", "true", "review"), series="series:\n  - " + row.format(kind))
        for kind in ("login", "checkout")
    )
    with pytest.raises(RuleSetUnusable, match="counts something else"):
        run(order(table, candidate=dict(one.texts), baseline=dict(other.texts)), quiet)
