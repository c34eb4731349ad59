"""What would a rule set have decided? `touchstone rules backtest`.

Over the decisions that the service recorded, as a job that the service runs; or over a file, here
and without a service. Invariant: Ctrl-C leaves nothing running.
"""

from __future__ import annotations

import json
import signal
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.api_client import Key, Url
from service.cli.options import Var
from service.cli.times import TIMES, time_text

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from service.backtest.words import Language
    from service.cli.api_client import ApiClient
    from service.settings import Settings

FAILED = 1
POLL_SECONDS = 0.5
CANCEL_SECONDS = 10.0
_ENDED = ("done", "failed", "cancelled")


class NotMade(Exception):
    """The backtest was not made; the text says why."""

    code = "backtest_not_made"


def backtest(  # noqa: PLR0913 - each is an option of the command
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="VERSION|DIR",
            help="A version; with --data a directory, too",
            show_default=False,
        ),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            metavar="VERSION|DIR",
            help="What to compare with. Default: live; with --data TOUCHSTONE_RULES_DIR or shipped",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False,
            help="Decide this file here: .parquet of `features compute --facts`, or events .jsonl",
        ),
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(formats=TIMES, help="From this time on (UTC). Default: 30 days before"),
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(formats=TIMES, help="Before this time. Default: now")
    ] = None,
    labels_as_of: Annotated[
        datetime | None,
        typer.Option(formats=TIMES, help="Labels known by this time. Default: now"),
    ] = None,
    segment: Annotated[
        list[str] | None, typer.Option(help="A field to tell apart; may be given again")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write the report with plots here")] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the whole result here")
    ] = None,
    lang: Annotated[str, typer.Option(help="en or zh")] = "en",
    job_id: Annotated[
        str | None,
        typer.Option("--job", metavar="ID", help="Show a backtest that was asked for before"),
    ] = None,
    wait: Annotated[bool, typer.Option(help="Wait for the result, with a progress bar")] = True,
    key: Key = "",
    url: Url = None,
    var: Var = None,
) -> None:  # fmt: skip
    """Let a rule set decide past events again, beside another one, and show what would change.

    Ctrl-C cancels. The result stays with the version: `rules submit` needs one against live.
    """
    from service.backtest.words import LANGUAGES
    from service.cli.api_client import ApiClient, path
    from service.cli.rule_files import is_version
    from service.settings import load_settings

    if lang not in LANGUAGES:
        raise typer.BadParameter("--lang is en or zh")
    language: Language = "zh" if lang == "zh" else "en"
    settings = load_settings(var)
    if (target is None) == (job_id is None):
        raise typer.BadParameter("give a version, or --job")
    if target is None:
        client = ApiClient(settings, url, key)
        result = _followed(client, client.get(path("v1", "backtests", str(job_id))))
    elif data is not None:
        if since or until or labels_as_of:
            raise typer.BadParameter(
                "a file is decided whole: leave --since, --until, --labels out"
            )
        result = _here(target, baseline, data, segment, settings, url, key)
    else:
        if not is_version(target):
            raise NotMade(
                f"{target} is a directory: push it first and name its version, "
                "or decide a file with --data"
            )
        client = ApiClient(settings, url, key)
        body = {
            "baseline": baseline or "live",
            "since": time_text(since),
            "until": time_text(until),
            "labels_as_of": time_text(labels_as_of),
            "segments": segment,
        }
        job = _asked(client, target, {k: v for k, v in body.items() if v is not None})
        if not wait:
            typer.echo(f"queued: touchstone rules backtest --job {job['id']}")
            return
        result = _followed(client, job)
    _show(result, language, html, json_file)


def _here(
    target: str,
    baseline: str | None,
    data: Path,
    segments: list[str] | None,
    settings: Settings,
    url: str | None,
    key: str,
) -> dict[str, Any]:
    from service.backtest.order import SEGMENTS, EventsFile, FactsTable, Order
    from service.backtest.run import run
    from service.cli.api_client import ApiClient
    from service.cli.rule_files import files_at

    def client() -> ApiClient:
        return ApiClient(settings, url, key)

    order = Order(
        settings=settings,
        candidate=dict(files_at(target, settings, client).texts),
        baseline=dict(files_at(baseline, settings, client).texts),
        source=FactsTable(data) if data.suffix == ".parquet" else EventsFile(data),
        segments=SEGMENTS if segments is None else tuple(segments),
    )
    with _bar() as bar:
        task = bar.add_task("Deciding again", total=None)
        return run(order, lambda done, total: bar.update(task, completed=done, total=total))


def _asked(client: ApiClient, target: str, body: dict[str, Any]) -> dict[str, Any]:
    """Ask for a backtest; Ctrl-C waits until its id is known, so that it can be cancelled."""
    from service.cli.api_client import path

    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    job: dict[str, Any] = client.post(path("v1", "rule-sets", target, "backtests"), body)
    return job


def _followed(client: ApiClient, job: dict[str, Any]) -> dict[str, Any]:
    from service.cli.api_client import path

    where = path("v1", "backtests", job["id"])
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        with _bar() as bar:
            task = bar.add_task("Waiting for its turn", total=None)
            while job["state"] not in _ENDED:
                time.sleep(POLL_SECONDS)
                job = client.get(where)
                _tell(bar, task, job)
    except KeyboardInterrupt:
        _cancel(client, where)
        raise NotMade("cancelled") from None
    if job["state"] != "done":
        raise NotMade(job["error"] or f"the backtest was {job['state']}")
    result: dict[str, Any] = client.get(f"{where}/result")
    return result


def _cancel(client: ApiClient, where: str) -> None:
    """Cancel a job and see its end, which comes within a second."""
    job = client.post(f"{where}/cancel", {})
    deadline = time.monotonic() + CANCEL_SECONDS
    while job["state"] not in _ENDED and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        job = client.get(where)


def _tell(bar: Progress, task: TaskID, job: dict[str, Any]) -> None:
    says = "Waiting for its turn" if job["state"] == "queued" else "Deciding again"
    bar.update(task, description=says, completed=job["done"], total=job["total"])


def _bar() -> Progress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )


def _show(
    result: dict[str, Any], language: Language, html: Path | None, json_file: Path | None
) -> None:
    from rich.console import Console

    from service.backtest.page import page
    from service.backtest.terminal import terminal

    Console().print(terminal(result, language))
    if html is not None:
        _write(html, page(result, language))
    if json_file is not None:
        _write(json_file, json.dumps(result, ensure_ascii=False, indent=1) + "\n")


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise NotMade(f"cannot write {file}: {error.strerror}") from None
    typer.echo(f"wrote {file}", err=True)
