"""What can be done with the record? `touchstone ledger COMMAND`, each in a file of its own."""

from __future__ import annotations

import typer

from service.cli.ledger_verify import verify

ledger_app = typer.Typer(help="The record of decisions.", no_args_is_help=True)
ledger_app.command("verify")(verify)
