"""How is one entry shown to somebody who has nothing else? `touchstone ledger prove ENTRY_ID`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.options import Var

if TYPE_CHECKING:
    from collections.abc import Mapping


def prove(
    entry_id: Annotated[str, typer.Argument(help="The entry's id: 32 hex digits")],
    out: Annotated[
        Path | None, typer.Option(help="File to write it to; without: standard output")
    ] = None,
    var: Var = None,
) -> None:
    """Write the proof that an entry is in the signed log: its header, no content.

    `touchstone ledger verify --proof FILE --key VKEY` checks it without a database.
    """
    from service.cli.database import with_database
    from service.cli.files import check_new
    from service.ledger.proof import NotCovered, prove
    from service.ledger.tree.errors import TreeBroken
    from service.settings import load_settings

    try:
        wanted = bytes.fromhex(entry_id)
    except ValueError:
        raise typer.BadParameter("an entry's id is 32 hex digits") from None
    if out is not None:
        check_new(out)

    async def act(connection: Any) -> Mapping[str, Any] | None:
        return await prove(connection, wanted)

    try:
        proof = with_database(load_settings(var), act)
    except (NotCovered, TreeBroken) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    if proof is None:
        typer.echo("there is no such entry", err=True)
        raise typer.Exit(1)
    text = json.dumps(proof, ensure_ascii=False, indent=1) + "\n"
    if out is None:
        typer.echo(text, nl=False)
    else:
        out.write_text(text, encoding="utf-8")
        typer.echo(f"wrote {out}", err=True)
