"""How does the log go on after a loss that nobody can undo? `touchstone ledger continue`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.options import Var
from service.counted import filled

if TYPE_CHECKING:
    from service.actions import Actions
    from service.signer.continuing import Continued


def continue_(
    confirm: Annotated[
        str, typer.Option(help="The name of the log, instead of being asked", show_default=False)
    ] = "",
    reason: Annotated[
        str, typer.Option(help="Why the loss is accepted; recorded", prompt="Why is it accepted")
    ] = "",
    var: Var = None,
) -> None:
    """Accept that signed entries are lost for good, and go on under another name.

    Only when no backup has them any more. Stop `touchstone serve` first. The loss is recorded with
    the last checkpoint before it, the signer's old state is kept beside the one that follows, and
    checkpoints go on as NAME/2 with a fresh key.
    """
    from service.cli.database import with_database
    from service.cli.recording import on_this_machine, with_actions
    from service.settings import load_settings
    from service.signer.continuing import continue_log, loss
    from service.signer.state import SignerFiles

    settings = load_settings(var)
    name, files = settings.ledger.log_name, SignerFiles(settings.signer_dir)

    async def ask(connection: Any) -> str:
        _, refusal = await loss(connection, files, name)
        return str(refusal)

    typer.echo(with_database(settings, ask))
    if not confirm:
        confirm = typer.prompt(f"\nTo accept this loss, type the name of the log ({name})")
    if confirm != name:
        typer.echo("nothing was changed", err=True)
        raise typer.Exit(1)

    async def act(actions: Actions) -> Continued:
        who = {**on_this_machine(), "reason": reason}
        async with actions.action("ledger.continued", who) as action:
            done = await continue_log(action.connection, files, name)
            action.what |= {
                "before": done.before,
                "origin": done.origin,
                "signed": done.signed,
                "here": done.here,
                "missing": max(done.signed - done.here, 0),
                "changed": done.wrong,
                "lost_checkpoint": done.lost,
                "vkey": done.vkey,
            }
        return done

    done = with_actions(settings, act, guarded=False)
    typer.echo(
        filled(
            "the log goes on as {} over {:# entry|# entries}; its key is {}",
            done.origin,
            done.here,
            done.vkey,
        )
    )
