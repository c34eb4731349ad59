"""How is a person erased? `touchstone ledger erase`: one person asks, another decides."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.api_client import Key, Url
from service.cli.options import Var
from service.cli.persons import HELP, Number, Purpose, read_identifiers, told
from service.counted import filled

if TYPE_CHECKING:
    from service.cli.api_client import ApiClient

erase_app = typer.Typer(
    help="Erase a person: one of compliance asks, another decides.", no_args_is_help=True
)
WAIT_SECONDS = 120
LOOK_SECONDS = 0.5


@erase_app.command("request", help=f"Ask for a person to be erased; restricts at once. {HELP}")
def request(purpose: Purpose, *, url: Url = None, key: Key = "", var: Var = None) -> None:
    body = {"identifiers": read_identifiers(), "purpose": purpose}
    asked = client_of(url, key, var).post("/v1/audit/erasures", body)
    say_asked(asked)
    typer.echo(f"Another person decides: touchstone ledger erase execute {asked['id']}, or refuse.")


@erase_app.command("list")
def list_(
    *,
    every: Annotated[bool, typer.Option("--all", help="Also those that are decided")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead")] = False,
    url: Url = None,
    key: Key = "",
    var: Var = None,
) -> None:
    """List requests about persons: erasures and restrictions."""
    found = client_of(url, key, var).get(
        "/v1/audit/rights-requests", only_open="false" if every else "true"
    )
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
    for one in () if as_json else found:
        typer.echo(told(one))
    if not found and not as_json:
        typer.echo("No request is open.")


@erase_app.command("show")
def show(number: Number, *, url: Url = None, key: Key = "", var: Var = None) -> None:
    """Show a request and why it was made."""
    found = client_of(url, key, var).get(f"/v1/audit/rights-requests/{number}")
    typer.echo(told(found))
    if found["purpose"]:
        typer.echo(f"       {found['purpose']}")


@erase_app.command("execute")
def execute(
    number: Number,
    purpose: Purpose,
    *,
    url: Url = None,
    key: Key = "",
    var: Var = None,
) -> None:
    """Erase the person whom somebody else asked to erase. It cannot be undone."""
    client = client_of(url, key, var)
    found = client.post(f"/v1/audit/rights-requests/{number}/execute", {"purpose": purpose})
    deadline = time.monotonic() + WAIT_SECONDS
    while found["state"] == "executing" and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
        found = client.get(f"/v1/audit/rights-requests/{number}")
    typer.echo(told(found))
    if found["state"] == "executing":
        typer.echo("It is not at its end yet, and the service goes on with it.")


@erase_app.command("refuse")
def refuse(
    number: Number, purpose: Purpose, *, url: Url = None, key: Key = "", var: Var = None
) -> None:
    """Refuse an erasure that somebody else asked for; the entries may be read again."""
    body = {"purpose": purpose}
    found = client_of(url, key, var).post(f"/v1/audit/rights-requests/{number}/refuse", body)
    typer.echo(told(found))


def client_of(url: str | None, key: str, var: Any) -> ApiClient:
    """Return a client of the running service."""
    from service.cli.api_client import ApiClient
    from service.settings import load_settings

    return ApiClient(load_settings(var), url, key)


def say_asked(asked: dict[str, Any]) -> None:
    """Say what a request was understood as."""
    typer.echo(told(asked))
    held = "       {:# entry is|# entries are} the person's, and nobody reads them."
    typer.echo(filled(held, asked["held_entries"]))
    if asked["mentioned_in"]:
        mentioned = (
            "       {:# entry of others mentions these identifiers and stays. Is it"
            "|# entries of others mention these identifiers and stay. Are they} of the same "
            "person? Then ask again with their other identifiers as well."
        )
        typer.echo(filled(mentioned, asked["mentioned_in"]))
