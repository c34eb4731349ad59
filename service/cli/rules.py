"""How do rules come from an idea to live, with evidence? `touchstone rules ...`.

Commands of training/ (suggest, tune) are found by their entry points, as this package may not
import them.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence

import typer

from service.cli import (
    rules_backtest,
    rules_lifecycle,
    rules_live,
    rules_local,
    rules_performance,
    rules_stops,
    rules_versions,
)
from service.cli.discovered import add_command, add_if_there

GROUP = "touchstone.rules"
# Python has these names already, or pytest takes them for its own.
_NAMES = {rules_local.examples: "test", rules_versions.set_: "set"}


def rules_app(words: Sequence[str]) -> typer.Typer:
    """Return the group; of its discovered commands only the one that `words` call is loaded."""
    app = typer.Typer(help="Rules: from an idea to live, with evidence.", no_args_is_help=True)
    for command in (
        rules_versions.pull,
        rules_local.check,
        rules_local.examples,
        rules_local.diff,
        rules_versions.push,
        rules_versions.set_,
        rules_backtest.backtest,
        rules_lifecycle.submit,
        rules_lifecycle.approve,
        rules_lifecycle.reject,
        rules_lifecycle.activate,
        rules_lifecycle.rollout,
        rules_lifecycle.ramp,
        rules_lifecycle.abort,
        rules_lifecycle.rollback,
        rules_lifecycle.shadow,
        rules_lifecycle.unshadow,
        rules_lifecycle.status,
        rules_versions.history,
        rules_stops.stop,
        rules_stops.confirm,
        rules_stops.lift,
        rules_stops.stops,
        rules_live.shadow_report,
        rules_live.rollout_report,
        rules_performance.performance,
    ):
        app.command(_NAMES.get(command, command.__name__.replace("_", "-")))(command)
    if "rules" not in words:
        return app
    for entry in sorted(importlib.metadata.entry_points(group=GROUP)):
        if entry.name in words:
            add_command(app, entry.name, entry.load())
        else:
            add_if_there(app, entry)
    return app
