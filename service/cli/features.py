"""What does the service know, and how is it kept true? `touchstone features ...`."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence

import typer

from service.cli.discovered import add_command, add_if_there
from service.cli.features_docs import docs
from service.cli.features_extract import extract
from service.cli.features_restore import backfill, rebuild
from service.cli.features_show import show, status

GROUP = "touchstone.features"


def features_app(words: Sequence[str]) -> typer.Typer:
    """Return the group; of its discovered commands only the one that `words` call is loaded."""
    app = typer.Typer(help="Features: what rules and model know.", no_args_is_help=True)
    for command in (docs, status, show, backfill, rebuild, extract):
        app.command(command.__name__)(command)
    if "features" not in words:
        return app
    for entry in sorted(importlib.metadata.entry_points(group=GROUP)):
        if entry.name in words:
            add_command(app, entry.name, entry.load())
        else:
            add_if_there(app, entry)
    return app
