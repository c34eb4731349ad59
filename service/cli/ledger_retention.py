"""What is past its time? `touchstone ledger retention run`, on the machine of the service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.options import Var

if TYPE_CHECKING:
    from service.actions import Actions

retention_app = typer.Typer(
    help="Delete what is past its time; the service does it once a day.", no_args_is_help=True
)


@retention_app.command("run")
def run(
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Delete nothing: say what would go")
    ] = False,
    var: Var = None,
) -> None:
    """Delete blocks and keys that are past their time. Headers, leaves and checkpoints stay."""
    from datetime import UTC, datetime

    from service.cli.database import with_database
    from service.cli.recording import on_this_machine, with_actions
    from service.rights.daily import retain
    from service.rights.periods import Periods
    from service.rights.retention import run_retention
    from service.settings import load_settings

    settings, now = load_settings(var), datetime.now(UTC)
    periods = Periods.of(settings)

    async def looked(connection: object) -> dict[str, int]:
        days = settings.retention.header_days
        return (await run_retention(connection, periods, days, now, dry_run=True)).counts()

    async def done(actions: Actions) -> dict[str, int]:
        async with actions.connection() as connection:
            return await retain(connection, actions, settings, now, on_this_machine())

    counts = with_database(settings, looked) if dry_run else with_actions(settings, done)
    for name, at in periods.cutoffs(now).items():
        typer.echo(f"{name.replace('_', ' '):<14} before {at:%Y-%m-%d %H:%M} UTC")
    verb = "would be deleted" if dry_run else "deleted"
    for name in ("subject_blocks", "core_blocks", "staff_blocks", "labels", "subject_keys",
                 "month_keys"):  # fmt: skip
        typer.echo(f"{counts[name]:>9} {name.replace('_', ' ')} {verb}")
    if counts["old_headers"]:
        days = settings.retention.header_days
        typer.echo(f"{counts['old_headers']:>9} headers are older than {days} days; they stay")
