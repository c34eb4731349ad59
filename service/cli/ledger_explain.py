"""Why was it decided so? `touchstone ledger explain ID --view person|shop|authority`.

Through the API, as whoever explains. Invariant: what is printed is what the service says, so the
person's view holds nothing that the person may not have.
"""

from __future__ import annotations

import json
from typing import Annotated, Literal

import typer

from service.cli.api_client import Key, Url
from service.cli.ledger_search import AsJson, EntryId, Purpose
from service.cli.options import Var


def explain(
    entry: EntryId,
    purpose: Purpose,
    view: Annotated[
        Literal["person", "shop", "authority"], typer.Option(help="Who is told")
    ] = "person",
    language: Annotated[Literal["en", "zh"], typer.Option(help="In which language")] = "en",
    as_json: AsJson = False,
    url: Url = None,
    key: Key = "",
    var: Var = None,
) -> None:
    """Explain one decision, in words for whoever asks. It is recorded."""
    from service.cli.api_client import ApiClient, path
    from service.settings import load_settings

    found = ApiClient(load_settings(var), url, key).post(
        path("v1", "audit", "entries", entry, "explain"),
        {"purpose": purpose, "view": view, "language": language},
    )
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
        return
    for section in found["sections"]:
        typer.echo(section["title"])
        for line in section["lines"]:
            typer.echo(f"  {line}")
        typer.echo("")
