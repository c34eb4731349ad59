"""What can be done with the record? `touchstone ledger COMMAND`, each in a file of its own."""

from __future__ import annotations

import typer

from service.cli.ledger_checkpoint import checkpoint
from service.cli.ledger_continue import continue_
from service.cli.ledger_erase import erase_app
from service.cli.ledger_explain import explain
from service.cli.ledger_export import export_app
from service.cli.ledger_fsck import fsck
from service.cli.ledger_prove import prove
from service.cli.ledger_replay import replay
from service.cli.ledger_restrict import restrict_app
from service.cli.ledger_retention import retention_app
from service.cli.ledger_rotate_keys import rotate_keys
from service.cli.ledger_search import reveal, search
from service.cli.ledger_status import status
from service.cli.ledger_verify import verify

ledger_app = typer.Typer(help="The record of decisions.", no_args_is_help=True)
ledger_app.command("status")(status)
ledger_app.command("verify")(verify)
ledger_app.command("prove")(prove)
ledger_app.command("checkpoint")(checkpoint)
ledger_app.command("fsck")(fsck)
ledger_app.command("continue")(continue_)
ledger_app.command("replay")(replay)
ledger_app.command("explain")(explain)
ledger_app.command("reveal")(reveal)
ledger_app.command("search")(search)
ledger_app.command("rotate-keys")(rotate_keys)
ledger_app.add_typer(export_app, name="export")
ledger_app.add_typer(erase_app, name="erase")
ledger_app.add_typer(restrict_app, name="restrict")
ledger_app.add_typer(retention_app, name="retention")
