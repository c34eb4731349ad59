"""Is the ledger whole? `touchstone ledger verify`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from service.cli.options import Var

if TYPE_CHECKING:
    from service.ledger.report import Report


def verify(
    with_keys: Annotated[
        bool, typer.Option("--with-keys/--without-keys", help="Open the sealed blocks as well")
    ] = True,
    language: Annotated[Literal["en", "zh"], typer.Option(help="Language of the report")] = "en",
    var: Var = None,
) -> None:
    """Check the whole log: headers, hashes, sequences, seals; say what that proves and what not.

    Exit code: 0 proven, 2 invalid, 3 gap, 4 incomplete.
    """
    from service.cli.database import with_dsn
    from service.keys import open_wrapper
    from service.ledger.verify import verify_log
    from service.secrets_files import ensure_keys
    from service.settings import load_settings

    settings = load_settings(var)
    ensure_keys(settings)
    wrapper = open_wrapper(settings) if with_keys else None

    async def act(dsn: str) -> Report:
        return await verify_log(
            dsn,
            wrapper=wrapper,
            spool_dir=settings.var / "spool",
            log=settings.ledger.log_name,
        )

    report = with_dsn(settings, act)
    typer.echo(report.render(language))
    raise typer.Exit(report.exit_code)
