"""What is set? `touchstone config show`."""

from __future__ import annotations

import typer

from service.cli.options import Var

config_app = typer.Typer(help="Settings.", no_args_is_help=True)


@config_app.command("show")
def show(var: Var = None) -> None:
    """Show every setting with its value; passwords are left out."""
    from rich.console import Console
    from rich.table import Table

    from service.settings import load_settings, setting_rows

    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("setting", no_wrap=True, overflow="fold")
    table.add_column("value", overflow="fold")
    table.add_column("what it is")
    for name, value, description in setting_rows(load_settings(var)):
        table.add_row(name, value, description)
    console = Console()
    # Into a pipe, long lines stay whole: they are for grep.
    console.print(
        table, soft_wrap=not console.is_terminal, width=None if console.is_terminal else 400
    )
