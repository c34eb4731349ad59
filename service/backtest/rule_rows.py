"""What does each rule do, on both sides, and which rule adds nothing?

A rule is decisive for an event when the outcome would have been another without it. Invariant:
every rule of either side that runs has one row, hit or not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from rules.rule import Rule
from rules.ruling import Ruling
from service.backtest.quality import ABUSE_AT, HONEST_AT, share
from service.backtest.tally import RuleTally, SideTally

# Rules that nearly always hit together: one of them may be enough.
MOST_OVERLAPS = 3


def rule_rows(
    candidate: Ruling, baseline: Ruling, candidate_sums: SideTally, baseline_sums: SideTally
) -> list[dict[str, Any]]:
    """Return a row a rule: changed ones first, then those that hit most."""
    right, left = _running(candidate), _running(baseline)
    overlaps = _overlaps(candidate_sums)
    rows = []
    for name in sorted(right.keys() | left.keys()):
        rule = right.get(name) or left[name]
        sums = candidate_sums.rules.get(name, RuleTally())
        rows.append(
            {
                "rule": name,
                "change": _change(left.get(name), right.get(name)),
                "mode": rule.mode,
                "outcome": rule.outcome.value,
                "event_types": list(rule.event_types),
                "baseline": _side(baseline_sums.rules.get(name)) if name in left else None,
                "candidate": _side(sums) if name in right else None,
                "overlaps": overlaps.get(name, []) if name in right else [],
                "finding": _finding(rule, sums) if name in right else "",
            }
        )
    return sorted(rows, key=_order)


def _order(row: Mapping[str, Any]) -> tuple[bool, int, str]:
    side = row["candidate"] or row["baseline"]
    return row["change"] == "same", -side["hits"], row["rule"]


def _running(ruling: Ruling) -> dict[str, Rule]:
    return {rule.id: rule for rule in ruling.engine.ruleset.rules if rule.mode != "off"}


def _change(left: Rule | None, right: Rule | None) -> str:
    if left is None:
        return "added"
    if right is None:
        return "removed"
    return "same" if left.content() == right.content() else "changed"


def _side(sums: RuleTally | None) -> dict[str, Any]:
    sums = sums or RuleTally()
    honest, abuse = sums.hits[HONEST_AT], sums.hits[ABUSE_AT]
    return {
        "hits": sum(sums.hits),
        "decisive": sum(sums.decisive),
        "decisive_amount": sums.decisive_amount,
        "amount": sums.amount,
        "honest": honest,
        "abuse": abuse,
        "decisive_honest": sums.decisive[HONEST_AT],
        "decisive_abuse": sums.decisive[ABUSE_AT],
        "precision": share(abuse, honest + abuse),
        "unknown": sums.unknown,
        "error": sums.error,
    }


def _finding(rule: Rule, sums: RuleTally) -> str:
    """Say in a word what is wrong with a rule, if anything: see `words.py` for the sentence."""
    hits = sum(sums.hits)
    if sums.error:
        return "errors"
    if not hits:
        return "never_known" if sums.unknown else "never_hits"
    if rule.mode == "live" and not sum(sums.decisive):
        return "adds_nothing"
    return ""


def _overlaps(sums: SideTally) -> dict[str, list[dict[str, Any]]]:
    """Return the rules that share most hits with each rule, as shares of its own hits."""
    beside: dict[str, Counter[str]] = {}
    for (one, other), count in sums.pairs.items():
        beside.setdefault(one, Counter())[other] += count
        beside.setdefault(other, Counter())[one] += count
    found = {}
    for name, counts in beside.items():
        hits = sum(sums.rules[name].hits)
        found[name] = [
            {"rule": other, "both": both, "share": round(both / hits, 4)}
            for other, both in _most(counts.items())
        ]
    return found


def _most(counts: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    return sorted(counts, key=lambda item: (-item[1], item[0]))[:MOST_OVERLAPS]
