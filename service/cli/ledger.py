"""Is the ledger whole? `touchstone ledger verify`."""

from __future__ import annotations

import typer

from service.cli.options import Var

ledger_app = typer.Typer(help="The record of decisions.", no_args_is_help=True)
