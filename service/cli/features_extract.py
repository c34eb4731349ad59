"""What happened, as a file for training? `touchstone features extract`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.options import Var
from service.cli.times import TIMES, in_utc

if TYPE_CHECKING:
    from service.cli.stores import Stores
    from service.history.reader import Skipped


def extract(
    out: Annotated[Path, typer.Option(metavar="FILE", help="The Parquet file to write")],
    since: Annotated[
        datetime | None, typer.Option(formats=TIMES, help="From this time on (UTC)")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(formats=TIMES, help="Before this time (UTC)")
    ] = None,
    var: Var = None,
) -> None:
    """Write the events of the ledger as a history file: one row an event, keyed tags only.

    Entries that wait in a spool are not in it; events of erased persons are left out and counted.
    """
    from service.cli.features_restore import Bars
    from service.cli.stores import with_stores
    from service.history.extract import extract as written
    from service.history.reader import Span
    from service.history.spools import filled_spools
    from service.settings import load_settings

    settings = load_settings(var)
    span = Span(_ms(since), None if until is None else (_ms(until) or 0) - 1)

    async def act(stores: Stores) -> tuple[int, Skipped]:
        with Bars() as bars:
            return await written(stores.history, span, out, bars.read), stores.history.skipped

    events, skipped = with_stores(settings, act)
    typer.echo(f"{events} events are in {out}")
    if skipped.erased:
        typer.echo(f"{skipped.erased} events of erased persons were left out")
    if skipped.restricted:
        typer.echo(f"{skipped.restricted} events of persons with an open request were left out")
    if skipped.unreadable:
        typer.echo(
            f"{skipped.unreadable} entries cannot be read: `touchstone ledger verify` says more"
        )
    if filled_spools(settings.var / "spool"):
        typer.echo("entries that wait in a spool are not in it")


def _ms(at: datetime | None) -> int | None:
    return None if at is None else round(in_utc(at).timestamp() * 1000)
