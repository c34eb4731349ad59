"""How does a suggestion become a rule that a person can finish?

An entry of a pack with parameters for its numbers, where they come from, and examples of real
events: facts only, never a tag. Invariant: what is printed passes the check of the rule set that it
would join.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np

from features.catalog import Catalog
from features.fields import Value
from rules.files import RuleSetFiles
from rules.parameters import literal_of
from rules.rule import Rule
from service.rule_sets.checked import diagnostics
from training.suggest.conditions import Condition, Conjunction
from training.suggest.presence import part_of
from training.suggest.rank import Ranked, Suggestion
from training.suggest.table import Table

PACK = "packs/suggested.yaml"
_MOST_OF_ID = 60
_MOST_OF_NAME = 41


class Found(NamedTuple):
    """What was suggested for one event type, from and on which events."""

    ranked: Ranked
    earlier: Table
    later: Table


def entries_of(found: Iterable[Found], live: Sequence[Rule]) -> dict[str, str]:
    """Return rule id -> its entry of a pack, for every suggestion."""
    taken = {rule.id for rule in live}
    entries: dict[str, str] = {}
    for ranked, earlier, later in found:
        for one in ranked.suggestions:
            identifier = _identifier(later.event_type, one.conjunction, taken | entries.keys())
            entries[identifier] = _entry(identifier, one, (earlier, later), live)
    return entries


def pack_of(entries: Iterable[str]) -> str:
    """Return the text of a pack with these entries."""
    return "pack: suggested\nowner: analyst\nrules:\n" + "\n".join(entries)


def without_fault(
    entries: Mapping[str, str], files: RuleSetFiles, catalog: Catalog
) -> tuple[dict[str, str], list[str]]:
    """Return the entries that pass the check in a rule set, and what is wrong with the others."""
    if not faults(pack_of(entries.values()), files, catalog):
        return dict(entries), []
    alone = RuleSetFiles.of(
        {name: text for name, text in files.texts.items() if not name.startswith("packs/")}
        | {PACK: pack_of(entries.values())}
    )
    found = {name: faults(pack_of([entry]), alone, catalog) for name, entry in entries.items()}
    kept = {name: entry for name, entry in entries.items() if not found[name]}
    return kept, [fault for several in found.values() for fault in several]


def faults(text: str, files: RuleSetFiles, catalog: Catalog) -> list[str]:
    """Return what is wrong with a pack in a rule set, problems of other packs aside."""
    joined = RuleSetFiles.of({**files.texts, PACK: text})
    _, problems = diagnostics(joined, catalog, None)
    name = PACK.rpartition("/")[2]
    return [str(found) for found in problems if found.is_error and found.file == name]


def _entry(
    identifier: str, one: Suggestion, tables: tuple[Table, Table], live: Sequence[Rule]
) -> str:
    earlier, later = tables
    names = _parameters(one.conjunction)
    placeholders = {condition: f"{{{{ {name} }}}}" for condition, name in names.items()}
    alarms, honest = one.later.false_alarms, one.later.honest
    share = alarms / honest if honest else 0.0
    reason = _reason(one.conjunction, later.event_type, live)
    lines = [
        f"- id: {identifier}",
        f"  description: {_quoted(_description(one.conjunction))}",
        f"  event_types: [{later.event_type}]",
        *_parameter_lines(names, later),
        f"  when: {_quoted(one.conjunction.cel(placeholders))}",
        "  outcome: review",
        "  # The reason of a live rule on such facts: write your own if it says something else.",
        f"  reason: {reason}",
        "  mode: shadow",
        "  threshold:",
        f"    source: {_quoted(_source(one, earlier, later))}",
        f"    false_alarms: {_quoted(f'{alarms:,} of {honest:,} honest events ({share:.2%})')}",
        "  examples:",
        *_examples(one.conjunction, later),
    ]
    return "\n".join(lines) + "\n"


def _source(one: Suggestion, earlier: Table, later: Table) -> str:
    low, high = one.later.precision_interval
    return (
        f"mined from {_span(earlier)}; on {_span(later)} precision {one.later.precision:.3f}"
        f" ({low:.3f} to {high:.3f}), recall {one.later.recall:.3f}"
    )


def _identifier(event_type: str, conjunction: Conjunction, taken: Iterable[str]) -> str:
    words = [event_type, *conjunction.facts]
    slug = re.sub(r"[^a-z0-9]+", "-", "-".join(words).lower()).strip("-")
    if len(slug) > _MOST_OF_ID:
        slug = slug[: _MOST_OF_ID + 1].rpartition("-")[0]
    number, found = 2, slug
    while found in taken:
        number, found = number + 1, f"{slug}-{number}"
    return found


def _description(conjunction: Conjunction) -> str:
    return "Suggested from history: " + ", ".join(one.cel() for one in conjunction.conditions) + "."


def _parameters(conjunction: Conjunction) -> dict[Condition, str]:
    """Return a name for each number of the conjunction."""
    names: dict[Condition, str] = {}
    for one in conjunction.conditions:
        if one.operator not in (">=", "<="):
            continue
        word = "min" if one.operator == ">=" else "max"
        name = f"{word}_{re.sub(r'[^a-z0-9]+', '_', one.column.fact.lower())}"[:_MOST_OF_NAME]
        names[one] = name if name not in names.values() else f"{name[:-2]}_2"
    return names


def _parameter_lines(names: Mapping[Condition, str], table: Table) -> list[str]:
    lines = ["  parameters:"] if names else []
    for one, name in names.items():
        column = table.numbers[:, table.columns.index(one.column)]
        least, most = float(np.nanmin(column)), float(np.nanmax(column))
        least = 0.0 - _rounded_up(-min(least, 0.0, float(one.value)))
        most = _rounded_up(max(most, float(one.value)))
        number = int if one.column.kind == "int" else float
        lines.append(
            f"    {name}: {{type: {one.column.kind}, value: {one.number!r},"
            f" min: {number(least)!r}, max: {number(most)!r}}}"
        )
    return lines


def _rounded_up(number: float) -> float:
    """Return a bound with two digits that count, not below the number.

    >>> _rounded_up(63639802.182), _rounded_up(0.894), _rounded_up(11)
    (64000000.0, 0.9, 11.0)
    """
    if number <= 0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(number)) - 1)
    return float(f"{math.ceil(number / unit - 1e-9) * unit:.2g}")


def _reason(conjunction: Conjunction, event_type: str, live: Sequence[Rule]) -> str:
    """Return the reason of the live rule that looks at the most of the same facts."""
    alike = [rule for rule in live if event_type in rule.event_types] or list(live)

    def shared(rule: Rule) -> int:
        return sum(fact in rule.when for fact in conjunction.facts)

    return max(alike, key=lambda rule: (shared(rule), rule.id)).reason


def _examples(conjunction: Conjunction, table: Table) -> list[str]:
    """Return an event that it hits and one that it does not, the likest that there is."""
    hit = table.holds(conjunction)
    seen = _first(np.flatnonzero(hit & table.is_abusive), conjunction, table)
    if seen is None:
        seen = _first(np.flatnonzero(hit), conjunction, table) or {}
    lines = [_example("hit", conjunction, seen)]
    for condition in conjunction.conditions:
        others = conjunction.without(condition)
        near = _first(
            np.flatnonzero(table.holds(others) & ~condition.holds(
                table.numbers[:, table.columns.index(condition.column)]
            ) & ~table.is_abusive),
            conjunction,
            table,
        )  # fmt: skip
        if near is not None:
            return [*lines, _example("no_hit", conjunction, near)]
    outside = conjunction.conditions[0].just_outside()
    if outside is not None:
        near = {**seen, conjunction.conditions[0].column.fact: outside}
        lines.append(_example("no_hit", conjunction, near, "no event was like it"))
    return lines


def _first(rows: Iterable[int], conjunction: Conjunction, table: Table) -> dict[str, Value] | None:
    """Return the facts of the first event that knows them all, no more exactly than needed."""
    for row in list(rows)[:200]:
        facts = table.facts(int(row), conjunction.facts)
        if facts is not None:
            return {name: _blurred(value, name, conjunction) for name, value in facts.items()}
    return None


def _blurred(value: Value, fact: str, conjunction: Conjunction) -> Value:
    """Return a number with three digits, unless it would meet other conditions than before.

    An example shows what such an event is like, and is no place to look up one that was.
    """
    if isinstance(value, bool | str):
        return value
    rounded = type(value)(float(f"{value:.3g}"))
    both = np.array([value, rounded], dtype=np.float64)
    for one in conjunction.conditions:
        if one.column.fact == fact and len(set(one.holds(both).tolist())) > 1:
            return value
    return rounded


def _example(
    expect: str, conjunction: Conjunction, facts: Mapping[str, Value], note: str = ""
) -> str:
    parts = {part: True for fact in conjunction.facts if (part := part_of(fact)) is not None}
    stated = ", ".join(f"{name}: {literal(value)}" for name, value in {**parts, **facts}.items())
    said = f", note: {_quoted(note)}" if note else ""
    return f"  - {{expect: {expect}, facts: {{{stated}}}{said}}}"


def literal(value: Value) -> str:
    """Return a value as YAML writes it."""
    return literal_of(value).strip("()") if not isinstance(value, str) else _quoted(value)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _span(table: Table) -> str:
    first, last = (
        datetime.fromtimestamp(int(at) / 1000, UTC).date().isoformat()
        for at in (table.times[0], table.times[-1])
    )
    return f"{table.rows:,} labelled events of {first} to {last}"
