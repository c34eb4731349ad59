"""What does `touchstone features compute` do? Events of the past to a table of features.

Polars and what goes with it are imported when the command runs, so that `--help` stays fast.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from service.cli.options import Var

_TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]


def compute(  # noqa: PLR0913 - each is an option of the command
    out: Annotated[Path, typer.Option(dir_okay=False, help="Parquet file to write")],
    events: Annotated[
        list[Path] | None,
        typer.Option(
            exists=True, dir_okay=False,
            help="Raw events: .jsonl, .csv (dotted columns) or .parquet; may be given again",
        ),
    ] = None,
    history: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Output of `touchstone features extract`"),
    ] = None,
    catalog: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Catalog", show_default="the service's"),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False,
            help="event_id or event_tag, label, source, known_at (optional); needs --as-of",
        ),
    ] = None,
    label_delays: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Delays of your sources of labels, in YAML"),
    ] = None,
    features: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False,
            help="Features of your own: event_id or event_tag, known_at, and any columns",
        ),
    ] = None,
    as_of: Annotated[
        datetime | None,
        typer.Option(formats=_TIMES, help="Events before it, and labels known by it (UTC)"),
    ] = None,
    facts: Annotated[
        bool, typer.Option("--facts", help="Write the fields of the events, too")
    ] = False,
    keep_history: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="Keep the history made of --events in this file"),
    ] = None,
    skip_refused: Annotated[
        bool, typer.Option("--skip-refused", help="Leave out events that the API would refuse")
    ] = False,
    chunk_rows: Annotated[
        int, typer.Option(min=1000, max=100_000_000, help="Events in memory at a time")
    ] = 250_000,
    var: Var = None,
) -> None:  # fmt: skip
    """Compute velocity features over the past, with the values that the service would have seen.

    Identifiers stay keyed tags: those of this service where its tag key is in --var, else tags that
    only mean something within the file.
    """
    from service.settings import load_settings
    from training.console import messages, results
    from training.offline.job import Job, run_job

    if (history is None) == (not events):
        raise typer.BadParameter("give --events or --history, one of them")
    if labels is not None and as_of is None:
        raise typer.BadParameter("--labels needs --as-of: which labels were known when?")
    job = Job(
        out=out,
        events=tuple(events or ()),
        history=history,
        catalog=catalog,
        labels=labels,
        label_delays=label_delays,
        own_features=features,
        as_of=None if as_of is None else as_of.replace(tzinfo=UTC),
        with_fields=facts,
        keep_history=keep_history,
        skip_refused=skip_refused,
        chunk_rows=chunk_rows,
    )
    run_job(job, load_settings(var), results(), messages())
