"""What has the log signed last? `touchstone ledger checkpoint`, and what witnesses sent back."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.files import check_new
from service.cli.options import Var
from service.counted import filled

if TYPE_CHECKING:
    from service.actions import Actions
    from service.signer.cosigning import Cosigned


def checkpoint(
    out: Annotated[
        Path | None, typer.Option(help="New file to write it to; without: standard output")
    ] = None,
    cosign: Annotated[
        Path | None,
        typer.Option(
            help="A checkpoint that a witness signed, to keep with ours (-: standard input)",
            metavar="FILE",
        ),
    ] = None,
    key: Annotated[
        bool, typer.Option("--key", help="Print the public key that signs instead")
    ] = False,
    var: Var = None,
) -> None:
    """Print the last signed checkpoint, or take the signature of a witness on one.

    Give the public key to whoever is to check the log, once; and from time to time a checkpoint,
    from which on they can show that nothing was changed.
    """
    from service.settings import load_settings

    settings = load_settings(var)
    if cosign is not None:
        _take(settings, cosign)
        return
    from service.cli.database import with_database

    if out is not None:
        check_new(out)
    text = with_database(settings, _key if key else _latest)
    if out is None:
        typer.echo(text, nl=False)
    else:
        out.write_text(text, encoding="utf-8")
        typer.echo(f"wrote {out}", err=True)


def _take(settings: Any, path: Path) -> None:
    from service.cli.recording import on_this_machine, with_actions
    from service.signer.cosigning import take_cosignatures

    text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")

    async def act(actions: Actions) -> Cosigned:
        async with actions.action("checkpoint.cosign", on_this_machine()) as action:
            cosigned = await take_cosignatures(action.connection, text, settings.ledger.witnesses)
            action.what |= {
                "origin": cosigned.checkpoint.origin,
                "size": cosigned.checkpoint.size,
                "witnesses": list(cosigned.witnesses),
            }
        return cosigned

    cosigned = with_actions(settings, act)
    typer.echo(
        filled(
            "{} cosigned {} over {:# entry|# entries}",
            ", ".join(cosigned.witnesses),
            cosigned.checkpoint.origin,
            cosigned.checkpoint.size,
        )
    )


async def _latest(connection: Any) -> str:
    from service.signer.cosigning import UnknownCheckpoint, latest_note

    note = await latest_note(connection)
    if note is None:
        raise UnknownCheckpoint("nothing is signed yet: `touchstone ledger status` says why")
    return note


async def _key(connection: Any) -> str:
    from service.signer.cosigning import UnknownCheckpoint

    vkey = await connection.fetchval(
        "SELECT vkey FROM ledger_signer_key ORDER BY position DESC LIMIT 1"
    )
    if vkey is None:
        raise UnknownCheckpoint("nobody signs this log yet")
    return f"{vkey}\n"
