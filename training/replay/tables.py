"""How are the figures of a replay shown to people?

Invariant: on 80 columns nothing is cut. Where reasons do not fit beside the figures of their event
type, they have a table of their own.
"""

from __future__ import annotations

from collections.abc import Mapping

from rich import box
from rich.console import Console
from rich.table import Table

from training.replay.figures import OUTCOMES, Figures, Side, TypeFigures

_STYLES = {"approve": "green", "challenge": "yellow", "review": "dark_orange", "decline": "red"}
_REASONS = 3  # for each event type


def show(console: Console, figures: Figures) -> None:
    """Print the table of types, and of rules where one hit; of those that only watch apart."""
    table = _types(figures, with_reasons=True)
    unbounded = console.options.update(width=1000)  # a measure never says more than there is
    if console.measure(table, options=unbounded).maximum <= console.width:
        console.print(table)
    else:
        console.print(_types(figures, with_reasons=False))
        console.print()
        console.print(_reasons(figures))
    console.print()
    if figures.rules:
        console.print(_rules(figures))
        console.print()
    if figures.watching:
        console.print(_watching(figures))
        console.print()
    report = figures.as_json()
    honest = report["honest"]
    if figures.is_labelled:
        bad = report["abusive"]
        console.print(
            f"Abusive events: {bad['events']}, caught {bad['stopped']} "
            f"({bad['stopped_share']:.1%}), missed {bad['events'] - bad['stopped']}"
        )
        if figures.total[1].events:
            caught = ", ".join(
                f"{name} {row['caught']}/{row['events']}"
                for name, row in report["caught_by_scenario"].items()
            )
            console.print(f"  by scenario: {caught}")
        score = report["score"]
        console.print(
            f"Score: AUC {_shown(score['auc'])}, "
            f"recall at 1 % false positives {_shown(score['recall_at_1pct_fpr'])}"
        )
    console.print(
        f"Honest events: {honest['events']}, stopped in error {honest['stopped']} "
        f"({honest['stopped_share']:.2%}); honest people: {honest['people']}, "
        f"ever stopped {honest['people_stopped']} ({honest['people_stopped_share']:.2%})"
    )
    if figures.degraded:
        gaps = ", ".join(f"{name} {count}" for name, count in figures.degraded.most_common())
        console.print(f"[yellow]Degraded decisions[/]: {gaps}")


def _table(title: str) -> Table:
    return Table(
        box=box.SIMPLE_HEAD, title=title, collapse_padding=True, pad_edge=False, show_edge=False
    )


def _types(figures: Figures, *, with_reasons: bool) -> Table:
    table = _table(f"Replay of {figures.source}")
    table.add_column("event type", no_wrap=True)
    table.add_column("events", justify="right", no_wrap=True)
    for outcome in OUTCOMES:
        table.add_column(outcome, justify="right", style=_STYLES[outcome], no_wrap=True)
    if with_reasons:
        table.add_column("top reasons", no_wrap=True)
    table.add_column("p50 ms", justify="right", no_wrap=True)
    table.add_column("p99 ms", justify="right", no_wrap=True)
    for name, row in sorted(figures.types.items()):
        table.add_row(
            name,
            str(len(row.seconds)),
            *(str(row.outcomes[outcome]) for outcome in OUTCOMES),
            *(["\n".join(f"{code} {count}" for code, count in _top(row))] if with_reasons else []),
            f"{row.latency_ms(50):.2f}",
            f"{row.latency_ms(99):.2f}",
        )
    return table


def _reasons(figures: Figures) -> Table:
    table = _table("Top reasons")
    table.add_column("event type", no_wrap=True)
    table.add_column("reason", no_wrap=True)
    table.add_column("events", justify="right", no_wrap=True)
    for name, row in sorted(figures.types.items()):
        for number, (code, count) in enumerate(_top(row)):
            table.add_row("" if number else name, code, str(count))
    return table


def _top(row: TypeFigures) -> list[tuple[str, int]]:
    return row.reasons.most_common(_REASONS)


def _rules(figures: Figures) -> Table:
    return _hits(
        figures, figures.rules, "Rules that hit", ("caught", "green"), ("false\nalarms", "red")
    )


def _watching(figures: Figures) -> Table:
    title = "Rules that would have hit (shadow or stopped: they change no outcome)"
    return _hits(figures, figures.watching, title, ("abusive\nevents", ""), ("honest\nevents", ""))


def _hits(
    figures: Figures,
    rules: Mapping[str, tuple[Side, Side]],
    title: str,
    abusive: tuple[str, str],
    honest: tuple[str, str],
) -> Table:
    """Return a table of rules; `abusive`, `honest`: name and style of the columns of events."""
    everybody = figures.honest_people()
    table = _table(title)
    table.add_column("rule", no_wrap=True)
    if figures.is_labelled:
        table.add_column(abusive[0], justify="right", style=abusive[1], no_wrap=True)
    table.add_column(honest[0], justify="right", style=honest[1], no_wrap=True)
    table.add_column("of honest\nevents", justify="right", no_wrap=True)
    table.add_column("honest\npeople hit", justify="right", overflow="fold")
    for rule, (good, bad) in sorted(rules.items()):
        people = len(good.people & everybody)
        table.add_row(
            rule,
            *([str(bad.events)] if figures.is_labelled else []),
            str(good.events),
            f"{good.events / max(figures.total[0].events, 1):.2%}",
            f"{people} ({people / max(len(everybody), 1):.2%})",
        )
    return table


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
