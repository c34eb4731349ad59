"""Is anything of the record left lying about? `touchstone ledger fsck`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from service.cli.options import Var

if TYPE_CHECKING:
    from service.fsck import Item


def fsck(
    language: Annotated[Literal["en", "zh"], typer.Option(help="Language of the report")] = "en",
    var: Var = None,
) -> None:
    """Look at the signer's files, the spools and the queue: clean, or what to do. Changes nothing.

    Exit code: 0 clean, 1 something is to be done.
    """
    from service.cli.database import with_database
    from service.fsck import look_over
    from service.settings import load_settings

    settings = load_settings(var)

    async def act(connection: Any) -> list[Item]:
        return await look_over(connection, settings)

    items = with_database(settings, act)
    for item in items:
        typer.echo(item.text(language))
    raise typer.Exit(0 if all(item.is_fine for item in items) else 1)
