"""How is a key replaced while the service runs? `touchstone ledger rotate-keys WHICH`."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.options import Var

if TYPE_CHECKING:
    from service.cli.recording import Recording
    from service.settings import Settings


class Which(StrEnum):
    """The keys that there are."""

    KEK = "kek"
    MONTH = "month"
    SUBJECT = "subject"
    SIGNING = "signing"
    TAG = "tag"
    BACKUP = "backup"


# Keys that have no rotation of their own, and why.
_NOT_ROTATED = {
    Which.TAG: (
        "The key of the tags is not rotated: tags are one-way, and the identifiers they were made "
        "of are kept nowhere, so that nothing recorded could be given its tag under another key. "
        "Velocities, lists, labels, the blind index, erasures and API keys would lose every person "
        "and every key. It opens nothing that is sealed."
    ),
    Which.BACKUP: (
        "Every backup has a key of its own, wrapped by the key-encryption key: the next full "
        "backup has a fresh one. Backups from before `rotate-keys kek` need the retired key file: "
        "keep it as long as them."
    ),
}


def rotate_keys(
    which: Annotated[
        Which,
        typer.Argument(
            help="kek: the key-encryption key, also to move it to another key service; month: keys "
            "of core and staff blocks; subject: keys of persons; signing: the signer's key"
        ),
    ],
    patience: Annotated[
        int, typer.Option(help="Seconds to wait for a writer that does not follow", min=1)
    ] = 600,
    var: Var = None,
) -> None:
    """Replace a key while the service runs. What was cut short goes on when called again."""
    from service.cli.recording import with_recording
    from service.settings import load_settings

    if which in _NOT_ROTATED:
        typer.echo(_NOT_ROTATED[which], err=True)
        raise typer.Exit(1)
    settings = load_settings(var)

    async def act(recording: Recording) -> None:
        if which is Which.SIGNING:
            await _signing(settings, recording)
        else:
            await _ledger(which, recording, patience, settings.kek_path.name)

    with_recording(settings, act)


async def _ledger(which: Which, recording: Recording, patience: int, name: str) -> None:
    from service.cli.recording import on_this_machine
    from service.keys.rotation import Rotation

    async with Rotation(
        recording.actions,
        recording.dsn,
        recording.ring,
        recording.held,
        on_this_machine(),
        typer.echo,
        patience,
    ) as rotation:
        if which is Which.MONTH:
            await rotation.months()
        elif which is Which.SUBJECT:
            await rotation.subjects()
        else:
            done = await rotation.kek()
            typer.echo(
                f"the key-encryption key is {done.after.hex()}. No stored key needs "
                f"{done.before.hex()}: its file {name}.{done.before.hex()} opens backups, spools "
                "and packages of exports from before; delete it when there are none"
            )
            if done.keys.broken:
                typer.echo(
                    f"{done.keys.broken} stored keys open under no key file that is here: "
                    "`touchstone ledger verify` names what they would have opened",
                    err=True,
                )
                raise typer.Exit(2)


async def _signing(settings: Settings, recording: Recording) -> None:
    from service.cli.recording import on_this_machine
    from service.keys.rotation import ACTION
    from service.signer.rotation import rotate

    who = on_this_machine()
    async with recording.actions.action(ACTION, who, key="signing", step="begin"):
        pass  # recorded before it is done: the signer's key is no row of the database
    done = await rotate(settings.signer_dir, recording.dsn)
    async with recording.actions.action(
        ACTION, who, key="signing", step="done", before=done.before, after=done.after
    ):
        pass
    typer.echo(f"checkpoints are signed by {done.after}")
    typer.echo(f"the key before, {done.before}, signs beside it for a while")
