"""Which profiles do decisions read, and which others are there?"""

from __future__ import annotations

from datetime import UTC, datetime

from rich import box
from rich.console import Console
from rich.table import Table

from features.profiles.schema import VIEWS
from training.profiles.layout import Layout
from training.profiles.materialize import online_marker


def show_status(
    console: Console, layout: Layout, url: str, now: datetime, max_age_hours: int
) -> None:
    """Print the builds and what the online store says. Raises `StoreAway`."""
    marker = online_marker(url)
    if marker is None:
        console.print("Decisions read no profiles: none were materialised in this store.")
    else:
        hours = (now.timestamp() * 1000 - marker.as_of_ms) / 3_600_000
        rows = ", ".join(f"{marker.rows.get(view, 0)} of {view}" for view in VIEWS)
        text = f"{marker.generation}, {hours:.1f} hours old: {rows}"
        if 0 <= hours <= max_age_hours:
            console.print(f"Decisions read {text}", highlight=False)
        else:
            console.print(f"Decisions leave out {text}; the limit is {max_age_hours} hours")
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("build", "as of (UTC)"):
        table.add_column(column)
    for column in ("events", *VIEWS):
        table.add_column(column, justify="right")
    table.add_column("")
    for name in reversed(layout.names()):
        build = layout.load(name)
        in_use = marker is not None and marker.generation == name
        table.add_row(
            name,
            f"{datetime.fromtimestamp(build.as_of_ms / 1000, UTC):%Y-%m-%d %H:%M}",
            str(build.events),
            *(str(build.views[view].profiles) for view in VIEWS),
            "in use" if in_use else "",
        )
    if table.row_count:
        console.print(table)
