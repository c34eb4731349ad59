"""How is reading about a person restricted? `touchstone ledger restrict`."""

from __future__ import annotations

import typer

from service.cli.api_client import Key, Url
from service.cli.ledger_erase import client_of, say_asked
from service.cli.options import Var
from service.cli.persons import HELP, Number, Purpose, read_identifiers, told

restrict_app = typer.Typer(
    help="Let nobody read a person's entries, until another person lifts it.",
    no_args_is_help=True,
)


@restrict_app.command("add", help=f"Let nobody read a person's entries. {HELP}")
def add(purpose: Purpose, *, url: Url = None, key: Key = "", var: Var = None) -> None:
    body = {"identifiers": read_identifiers(), "purpose": purpose}
    asked = client_of(url, key, var).post("/v1/audit/restrictions", body)
    say_asked(asked)
    typer.echo(f"Another person lifts it: touchstone ledger restrict lift {asked['id']}")


@restrict_app.command("lift")
def lift(
    number: Number, purpose: Purpose, *, url: Url = None, key: Key = "", var: Var = None
) -> None:
    """Lift a restriction that somebody else asked for; the entries may be read again."""
    body = {"purpose": purpose}
    found = client_of(url, key, var).post(f"/v1/audit/rights-requests/{number}/lift", body)
    typer.echo(told(found))
