"""How does a command that lives in training/ come into the command line?

By an entry point, as service/ may not import training/. Invariant: a part that is not installed is
missing from the help and never breaks it.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from typing import Any

import typer


def add_if_there(app: typer.Typer, entry: importlib.metadata.EntryPoint) -> None:
    """Add what an entry point names, unless what it needs is not installed."""
    try:
        command = entry.load()
    except ModuleNotFoundError:  # the image without training/, or training without its extra
        return
    add_command(app, entry.name, command)


def add_command(app: typer.Typer, name: str, command: Callable[..., Any] | typer.Typer) -> None:
    """Add one command, or a group of them."""
    if isinstance(command, typer.Typer):
        app.add_typer(command, name=name)
    else:
        app.command(name)(command)
