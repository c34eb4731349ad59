"""How does the record stand? `touchstone ledger status`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from service.cli.options import Var

if TYPE_CHECKING:
    from service.signer.standing import Standing


def status(
    language: Annotated[Literal["en", "zh"], typer.Option(help="Language of the report")] = "en",
    var: Var = None,
) -> None:
    """Say on one screen what is recorded, placed in the tree, signed and witnessed.

    Exit code: 0 all is well, 1 entries are not covered in time, 2 the signer refuses.
    """
    from service.cli.database import with_database
    from service.settings import load_settings
    from service.signer.standing import settled

    settings = load_settings(var)

    async def act(connection: Any) -> Standing:
        return await settled(connection, settings)

    found = with_database(settings, act)
    typer.echo("\n".join(found.lines(language)))
    raise typer.Exit(2 if found.refusal else 0 if found.is_well else 1)
