"""How are exports shown in a terminal? One line each, with what a second person must know."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import typer

WIDTH = 200  # of a table that goes into a file or a pipe


def show_exports(found: list[dict[str, Any]]) -> None:
    """Print exports as a table."""
    from rich.console import Console
    from rich.table import Table

    if not found:
        typer.echo("No exports. `touchstone ledger export request` asks for one.")
        return
    table = Table(box=None, pad_edge=False)
    for name in ("id", "state", "entries", "discloses", "asked by", "decided by", "purpose"):
        table.add_column(name, no_wrap=name not in ("state", "purpose"), overflow="fold")
    for one in found:
        table.add_row(
            one["id"][:8],
            _state(one),
            f"{one['first']}..{one['last'] - 1}",
            disclosed(one),
            one["requested_by"],
            one["decided_by"] or "",
            one["purpose"],
        )
    console = Console(highlight=False)
    (console if console.is_terminal else Console(highlight=False, width=WIDTH)).print(table)


def disclosed(one: dict[str, Any]) -> str:
    """Say which blocks of which entries an export discloses."""
    blocks = ",".join(one["blocks"]) or "nothing"
    return f"{blocks} of {','.join(one['types'])}" if one["types"] else blocks


def _state(one: dict[str, Any]) -> str:
    if one["state"] == "running":
        return f"running, {100 * one['done'] // max(1, one['entries'])} %"
    if one["state"] == "ready":
        until = datetime.fromisoformat(one["expires_at"]).astimezone(UTC)
        return f"ready until {until:%Y-%m-%d %H:%M}"
    if one["state"] in ("failed", "refused"):
        return f"{one['state']}: {one['error'] or one['reason']}"
    return str(one["state"])
