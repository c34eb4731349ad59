"""How are suggestions and a tuned rule shown in a terminal?"""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table as Rows

from rules.parameters import literal_of
from training.suggest.draft import Found
from training.suggest.rank import Figures
from training.suggest.tune import Point, Tuned


def show_found(console: Console, found: Found) -> None:
    """Print the suggestions for one event type, the best first, and what became of the others."""
    ranked, earlier, later = found
    rows = Rows(
        title=f"{later.event_type}: mined from {earlier.rows:,} events, measured on {later.rows:,} "
        f"later ones ({int(later.is_abusive.sum()):,} abusive)",
        title_justify="left",
    )
    for name in ("", "condition", "precision (95 %)", "recall", "hits", "new catches", "nearest"):
        rows.add_column(name, justify="left" if name in ("condition", "nearest") else "right")
    for number, one in enumerate(ranked.suggestions, 1):
        rows.add_row(
            str(number),
            one.conjunction.cel(),
            _precision(one.later),
            f"{one.later.recall:.1%}",
            f"{one.later.hits:,}",
            f"{one.adds:,}",
            f"{one.nearest} ({one.overlap:.0%})" if one.nearest else "-",
        )
    if ranked.suggestions:
        console.print(rows)
    else:
        console.print(rows.title, style="italic")
        console.print(
            "No rule: what marked the abuse of the earlier events did not mark the later."
        )
    console.print(
        f"{ranked.mined:,} candidates, {ranked.measured} of them measured: {ranked.too_weak} too "
        f"weak, {sum(ranked.known_already.values())} known already"
        + (f" ({', '.join(sorted(ranked.known_already))})" if ranked.known_already else "")
    )


def found_as_json(found: Found) -> dict[str, Any]:
    """Return the suggestions for one event type as JSON has them."""
    ranked, earlier, later = found
    return {
        "event_type": later.event_type,
        "earlier_events": earlier.rows,
        "later_events": later.rows,
        "candidates": ranked.mined,
        "measured": ranked.measured,
        "too_weak": ranked.too_weak,
        "known_already": dict(ranked.known_already),
        "suggestions": [
            {
                **one.conjunction.describe(),
                "earlier": one.earlier.describe(),
                "later": one.later.describe(),
                "nearest": one.nearest or None,
                "overlap": round(one.overlap, 4),
                "new_catches": one.adds,
            }
            for one in ranked.suggestions
        ],
    }


def show_tuned(console: Console, rule: str, tuned: Tuned) -> None:
    """Print the curve, the current values and the recommended ones."""
    later = tuned.current.later
    rows = Rows(
        title=f"{rule}: {len(tuned.points)} variants; precision and recall on {later.events:,} "
        f"later events ({later.abusive:,} abusive)",
        title_justify="left",
    )
    rows.add_column("values")
    for name in (
        "precision (95 %)",
        "recall",
        "hits",
        "false alarms",
        "earlier: precision",
        "recall",
    ):
        rows.add_column(name, justify="right")
    rows.add_column("")
    shown = {id(one): one for one in (*tuned.curve(), tuned.current, tuned.recommended)}
    for one in sorted(shown.values(), key=lambda one: -one.later.recall):
        marks = [
            word
            for word, other in (("current", tuned.current), ("recommended", tuned.recommended))
            if one is other
        ]
        rows.add_row(
            values_of(one),
            _precision(one.later),
            f"{one.later.recall:.1%}",
            f"{one.later.hits:,}",
            f"{one.later.false_alarms:,}",
            f"{one.earlier.precision:.1%}" if one.earlier.hits else "-",
            f"{one.earlier.recall:.1%}",
            ", ".join(marks),
        )
    console.print(rows)
    if tuned.recommended is tuned.current:
        console.print("the current values are the best of these")
        return
    for name, value in tuned.recommended.variant.values.items():
        if value != tuned.current.variant.values[name]:
            console.print(f"touchstone rules set {rule} {name} {literal_of(value).strip('()')}")


def tuned_as_json(rule: str, tuned: Tuned) -> dict[str, Any]:
    """Return all points as JSON has them."""

    def described(point: Point) -> dict[str, Any]:
        return {
            "values": dict(point.variant.values),
            "earlier": point.earlier.describe(),
            "later": point.later.describe(),
        }

    return {
        "rule": rule,
        "current": described(tuned.current),
        "recommended": described(tuned.recommended),
        "points": [described(point) for point in tuned.points],
    }


def values_of(point: Point) -> str:
    """Return a variant's values in words."""
    return ", ".join(f"{name} {literal_of(value)}" for name, value in point.variant.values.items())


def _precision(figures: Figures) -> str:
    if not figures.hits:
        return "-"
    low, high = figures.precision_interval
    return f"{figures.precision:.1%} ({low:.1%} to {high:.1%})"
