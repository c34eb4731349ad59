"""What is the result of a backtest? Plain JSON, complete: every report is made from it alone.

Invariant: sums of every table agree with each other; no identifier and no fact of an event is in
it, so that erasing a person leaves nothing behind here. Amounts are base currency minor units.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from service.backtest.order import FactsTable, Order, Recorded
from service.backtest.part import PartResult
from service.backtest.quality import ABUSE_AT, HONEST_AT, OUTCOMES, quality
from service.backtest.rule_rows import rule_rows
from service.backtest.sides import Sides
from service.backtest.tally import CELLS, HOUR_MS, ExampleEvent, Tally

FORMAT = 1
MOST_POINTS = 120
MOST_ROWS = 12  # of one segment, the busiest
_STEPS_HOURS = (1, 3, 6, 12, 24, 7 * 24, 28 * 24, 365 * 24)


def result_of(order: Order, sides: Sides, found: PartResult, seconds: float) -> dict[str, Any]:
    """Return the result of all parts together."""
    tally = found.tally
    tally.fold()
    counts, amounts = _all(tally.counts), _all(tally.amounts)
    return {
        "format": FORMAT,
        "candidate": _named(sides.candidate.version, sides.candidate.engine.ruleset.rules),
        "baseline": _named(sides.baseline.version, sides.baseline.engine.ruleset.rules),
        "rules_evaluated": sides.compared.rules_evaluated,
        "catalog": sides.extended.version,
        "currency": _currency(order),
        "source": _source(order, sides, found, counts),
        "seconds": round(seconds, 2),
        "outcomes": _outcomes(counts, amounts),
        "transitions": {"counts": _matrix(counts), "amounts": _matrix(amounts)},
        **_changes(counts, amounts),
        "money": _money(counts, amounts),
        "quality": quality(counts),
        "rules": rule_rows(sides.candidate, sides.baseline, tally.candidate, tally.baseline),
        "segments": _segments(tally),
        "over_time": _over_time(tally),
        "examples": {
            name: [_example(one) for one in sorted(getattr(tally, name), reverse=True)]
            for name in ("false_alarms", "let_through", "stricter", "milder")
        },
        "replay": {"compared": tally.replayed, "equal": tally.replayed_equal},
        "notes": _notes(sides, found),
    }


def digest_of(result: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a result, whatever order its keys are in: the ledger keeps it."""
    return hashlib.sha256(orjson.dumps(result, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _named(version: str, rules: Sequence[Any]) -> dict[str, Any]:
    return {"version": version, "rules": sum(rule.mode != "off" for rule in rules)}


def _currency(order: Order) -> dict[str, Any]:
    shop = order.settings.shop
    return {"code": shop.base_currency, "digits": shop.units_of_minor()[shop.base_currency]}


def _source(order: Order, sides: Sides, found: PartResult, counts: Sequence[int]) -> dict[str, Any]:
    source, tally = order.source, found.tally
    told: dict[str, Any] = {"kind": "events", "name": "", "since": None, "until": None}
    if isinstance(source, Recorded):
        told["kind"] = "ledger"
        told["since"], told["until"] = _time(source.since_ms), _time(source.until_ms)
        told["labels_as_of"] = source.labels_as_of.isoformat()
    else:
        told["kind"] = "facts" if isinstance(source, FactsTable) else "events"
        told["name"] = source.path.name
    return {
        **told,
        "first": None if tally.first_ms is None else _time(tally.first_ms),
        "last": None if tally.last_ms is None else _time(tally.last_ms),
        "events": tally.events,
        "abuse": sum(counts[ABUSE_AT::3]),
        "honest": sum(counts[HONEST_AT::3]),
        "without_score": tally.without_score,
        "gaps": dict(sorted(tally.gaps.items())),
        "skipped": {name: count for name, count in sorted(found.skipped.items()) if count},
        "recomputed": list(sides.fresh) if isinstance(source, Recorded) else [],
        "unknown_facts": list(found.unknown_facts),
        "stopped": list(found.stopped),
    }


def _outcomes(counts: Sequence[int], amounts: Sequence[int]) -> dict[str, Any]:
    found = {}
    for place, outcome in enumerate(OUTCOMES):
        found[outcome] = {
            side: {"count": _of(counts, side, place), "amount": _of(amounts, side, place)}
            for side in ("baseline", "candidate")
        }
    return found


def _of(table: Sequence[int], side: str, outcome: int, labels: Sequence[int] = (0, 1, 2)) -> int:
    return sum(
        count
        for cell, count in enumerate(table)
        if (cell // 12 if side == "baseline" else cell % 12 // 3) == outcome and cell % 3 in labels
    )


def _matrix(table: Sequence[int]) -> list[list[int]]:
    """Return rows by the baseline's outcome, columns by the candidate's."""
    return [[sum(table[12 * left + 3 * right :][:3]) for right in range(4)] for left in range(4)]


def _changes(counts: Sequence[int], amounts: Sequence[int]) -> dict[str, Any]:
    cells = [(cell // 12, cell % 12 // 3, cell) for cell in range(CELLS)]
    stricter = [cell for left, right, cell in cells if right > left]
    milder = [cell for left, right, cell in cells if right < left]
    return {
        name: {
            "count": sum(counts[cell] for cell in chosen),
            "amount": sum(amounts[cell] for cell in chosen),
            "abuse": sum(counts[cell] for cell in chosen if cell % 3 == ABUSE_AT),
            "honest": sum(counts[cell] for cell in chosen if cell % 3 == HONEST_AT),
        }
        for name, chosen in (("stricter", stricter), ("milder", milder))
    }


def _money(counts: Sequence[int], amounts: Sequence[int]) -> dict[str, Any]:
    """Money declined and money let through without more ado, and what of it was abuse."""
    found: dict[str, Any] = {}
    for name, outcome in (("blocked", 3), ("let_through", 0)):
        found[name] = {
            side: {
                "count": _of(counts, side, outcome),
                "amount": _of(amounts, side, outcome),
                "abuse_amount": _of(amounts, side, outcome, (ABUSE_AT,)),
                "honest_amount": _of(amounts, side, outcome, (HONEST_AT,)),
            }
            for side in ("baseline", "candidate")
        }
    return found


def _segments(tally: Tally) -> dict[str, list[dict[str, Any]]]:
    tables: dict[str, Mapping[str, Sequence[int]]] = {"event.type": tally.counts}
    tables.update({name: table for name, table in tally.segments.items() if table})
    return {
        name: [
            {"value": value, **_segment(table)}
            for value, table in sorted(rows.items(), key=lambda row: (-sum(row[1]), row[0]))[
                :MOST_ROWS
            ]
        ]
        for name, rows in tables.items()
    }


def _segment(table: Sequence[int]) -> dict[str, int]:
    changed = _changes(table, table)
    row = {
        "events": sum(table),
        "stricter": changed["stricter"]["count"],
        "milder": changed["milder"]["count"],
        "abuse": sum(table[ABUSE_AT::3]),
        "honest": sum(table[HONEST_AT::3]),
    }
    for side in ("baseline", "candidate"):
        row[f"{side}_flagged"] = sum(table) - _of(table, side, 0)
        row[f"{side}_declined"] = _of(table, side, 3)
        row[f"{side}_caught"] = row["abuse"] - _of(table, side, 0, (ABUSE_AT,))
        row[f"{side}_false_alarms"] = row["honest"] - _of(table, side, 0, (HONEST_AT,))
    return row


def _over_time(tally: Tally) -> dict[str, Any]:
    """Return sums by stretches of time, as many as a plot has room for."""
    if not tally.hours:
        return {"step_hours": 1, "points": []}
    first, last = min(tally.hours), max(tally.hours)
    step = next((s for s in _STEPS_HOURS if (last - first) / s < MOST_POINTS), _STEPS_HOURS[-1])
    points: dict[int, list[int]] = {}
    for hour, table in tally.hours.items():
        point = points.setdefault(hour // step, [0] * 5)
        sums = (
            sum(table),
            sum(table) - _of(table, "baseline", 0),
            sum(table) - _of(table, "candidate", 0),
            _of(table, "baseline", 3),
            _of(table, "candidate", 3),
        )
        points[hour // step] = [one + more for one, more in zip(point, sums, strict=True)]
    return {
        "step_hours": step,
        "points": [
            {
                "from": _time(at * step * HOUR_MS),
                "events": sums[0],
                "baseline_flagged": sums[1],
                "candidate_flagged": sums[2],
                "baseline_declined": sums[3],
                "candidate_declined": sums[4],
            }
            for at, sums in sorted(points.items())
        ],
    }


def _example(one: ExampleEvent) -> dict[str, Any]:
    return {
        "event": one.name,
        "type": one.event_type,
        "at": _time(one.observed_ms),
        "amount": one.amount,
        "baseline": one.baseline,
        "candidate": one.candidate,
        "because": list(one.rules),
    }


def _notes(sides: Sides, found: PartResult) -> list[str]:
    """Return words for what a reader must know; the sentences are in `words.py`."""
    tally = found.tally
    notes = []
    if not tally.events:
        notes.append("no_events")
    if tally.events and tally.without_score == tally.events:
        notes.append("no_scores")
    if found.unknown_facts:
        notes.append("unknown_facts")
    if found.stopped:
        notes.append("stopped")
    if tally.replayed > tally.replayed_equal:
        notes.append("replay_differs")
    if sides.candidate.version == sides.baseline.version:
        notes.append("same_version")
    return notes


def _all(tables: Mapping[str, Sequence[int]]) -> list[int]:
    return [sum(column) for column in zip(*tables.values(), strict=True)] or [0] * CELLS


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds")
