"""How are the figures of a replay shown to people?"""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table

from training.replay.figures import OUTCOMES, Figures

_STYLES = {"approve": "green", "challenge": "yellow", "review": "dark_orange", "decline": "red"}


def show(console: Console, figures: Figures) -> None:
    """Print the table of types, and of rules where one hit."""
    console.print(_types(figures))
    if figures.rules:
        console.print(_rules(figures))
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


def _types(figures: Figures) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=f"Replay of {figures.source}")
    table.add_column("event type")
    table.add_column("events", justify="right")
    for outcome in OUTCOMES:
        table.add_column(outcome, justify="right", style=_STYLES[outcome])
    table.add_column("top reasons", overflow="fold", min_width=36)
    table.add_column("p50 ms", justify="right")
    table.add_column("p99 ms", justify="right")
    for name, row in sorted(figures.types.items()):
        table.add_row(
            name,
            str(len(row.seconds)),
            *(str(row.outcomes[outcome]) for outcome in OUTCOMES),
            "\n".join(f"{code} {count}" for code, count in row.reasons.most_common(3)),
            f"{row.latency_ms(50):.2f}",
            f"{row.latency_ms(99):.2f}",
        )
    return table


def _rules(figures: Figures) -> Table:
    honest = figures.honest_people()
    table = Table(box=box.SIMPLE_HEAD, title="Rules that hit")
    table.add_column("rule")
    if figures.is_labelled:
        table.add_column("caught", justify="right", style="green")
    table.add_column("false alarms", justify="right", style="red")
    table.add_column("of honest events", justify="right")
    table.add_column("honest people hit", justify="right")
    for rule, (good, bad) in sorted(figures.rules.items()):
        people = len(good.people & honest)
        table.add_row(
            rule,
            *([str(bad.events)] if figures.is_labelled else []),
            str(good.events),
            f"{good.events / max(figures.total[0].events, 1):.2%}",
            f"{people} ({people / max(len(honest), 1):.2%})",
        )
    return table


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
