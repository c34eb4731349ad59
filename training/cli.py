"""Which commands does training add to `touchstone`? `train`, `replay` and `demo`.

Plain functions that the command line finds by their entry points. What they need is imported when
they run, so that `touchstone --help` stays fast.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from service.cli.options import Var


def train(
    data: Annotated[
        str, typer.Option(metavar="SOURCE", help="What to learn from: simulator, fraud-ecommerce")
    ] = "simulator",
    events: Annotated[
        int | None,
        typer.Option(
            min=1000, max=10_000_000, help="Events of the simulator", show_default="30000"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of simulator and trees")] = 1,
    until: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"], help="Simulated traffic ends here (UTC)", show_default="today"
        ),
    ] = None,
    var: Var = None,
) -> None:
    """Train a model and make it the one that the service loads at its next start."""
    from service.settings import load_settings
    from training.command_train import show_training, train_bundle
    from training.console import messages, results
    from training.sources import today

    end = today() if until is None else until.replace(tzinfo=UTC)
    trained, directory = train_bundle(
        load_settings(var), messages(), source=data, events=events, seed=seed, until=end
    )
    show_training(results(), trained, directory)


def replay(  # noqa: PLR0913 - the options of a command
    dataset: Annotated[
        str,
        typer.Argument(help="simulator, fraud-ecommerce, online-retail or completejourney-coupons"),
    ],
    url: Annotated[str, typer.Option(help="Where the service is")] = "http://127.0.0.1:8000",
    key: Annotated[
        str,
        typer.Option(help="API key with the scope `score`", envvar="TOUCHSTONE_API_KEY"),
    ] = "",
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after this many events")] = None,
    concurrency: Annotated[
        int, typer.Option(min=1, max=64, help="Events under way at once that share no entity")
    ] = 1,
    seed: Annotated[int, typer.Option(help="Seed of the simulator")] = 1,
    labels: Annotated[
        bool,
        typer.Option(
            "--labels", help="Tell the service what the events were (scope `labels:write`)"
        ),
    ] = False,
    report: Annotated[
        Path | None, typer.Option(help="Write the figures here as JSON", dir_okay=False)
    ] = None,
    var: Var = None,  # noqa: ARG001 - every sub-command has it; a replay writes nothing there
) -> None:
    """Send a data set's events through the HTTP API in time order and show what came of them.

    The service must run with TOUCHSTONE_CLOCK=event, so that its windows follow the data.
    """
    from training.command_replay import replay_source
    from training.console import messages, results

    figures = replay_source(
        results(),
        messages(),
        source=dataset,
        url=url,
        key=key,
        limit=limit,
        concurrency=concurrency,
        seed=seed,
        with_labels=labels,
    )
    if report is not None:
        text = json.dumps(figures.as_json(), indent=1, ensure_ascii=False)
        report.write_text(text + "\n", encoding="utf-8")


def demo(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port, 0 for any free one")] = 8000,
    events: Annotated[
        int, typer.Option(min=200, max=1_000_000, help="Events of the first stream")
    ] = 3000,
    wait: Annotated[bool, typer.Option(help="Go on serving after the replay, until Ctrl-C")] = True,
    var: Var = None,
) -> None:
    """Bring everything up, show it at work on simulated shop traffic, and go on serving."""
    from training.demo import run_demo

    if not run_demo(var, port=port, events=events, wait=wait):
        raise typer.Exit(1)
