"""What did events turn out to be? `touchstone labels ...`, through the API."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.api_client import Key, Url
from service.cli.options import Var

if TYPE_CHECKING:
    from service.cli.api_client import ApiClient

labels_app = typer.Typer(
    help="Labels: chargebacks, confirmed abuse, good customers, review results.",
    no_args_is_help=True,
)

Source = Annotated[str, typer.Option(help="Who says so; `touchstone labels sources` lists them")]
LabelOption = Annotated[
    str | None,
    typer.Option(
        "--label",
        help="abusive, honest, or withdrawn: nothing is known after all. Default: what the "
        "source means",
    ),
]
KnownAt = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Since when it is known, with a zone. Default: now"),
]


@labels_app.command("add")
def add(
    events: Annotated[list[str], typer.Argument(metavar="EVENT_ID...", help="As they were sent")],
    source: Source,
    label: LabelOption = None,
    known_at: KnownAt = None,
    *,
    url: Url = None,
    key: Key = "",
    var: Var = None,
) -> None:
    """Say what events turned out to be. A later label of an event corrects the earlier ones."""
    row = {"label": label, "source": source, "known_at": known_at}
    body = {"labels": [{"event_id": event, **row} for event in events]}
    _print_kept(_client(url, key, var).post("/v1/labels", body))


@labels_app.command("import")
def import_(
    file: Annotated[
        Path,
        typer.Argument(
            help="CSV: event_id (or event_tag), source, label, known_at; - is standard input"
        ),
    ],
    source: Annotated[str | None, typer.Option(help="For rows that say none")] = None,
    label: Annotated[str | None, typer.Option(help="For rows that say none")] = None,
    *,
    url: Url = None,
    key: Key = "",
    var: Var = None,
) -> None:
    """Add the labels of a CSV, all or none. The same file again adds nothing."""
    import json

    from service.cli.files import read_bytes

    answer = _client(url, key, var).call(
        "POST",
        "/v1/labels/import",
        body=read_bytes(file),
        content_type="text/csv",
        query={"source": source, "label": label},
    )
    _print_kept(json.loads(answer))


@labels_app.command("show")
def show(
    event: Annotated[str, typer.Argument(metavar="EVENT_ID", help="As it was sent")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead")] = False,
    url: Url = None,
    key: Key = "",
    var: Var = None,
) -> None:
    """Show what is known of an event, and everything that was ever said of it."""
    import json

    from rich.console import Console
    from rich.table import Table

    found = _client(url, key, var).get("/v1/labels/of", event_id=event)
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
        return
    if not found["history"]:
        typer.echo("Nobody has said anything of this event.")
        return
    if found["label"] is None:
        typer.echo("Nothing is known: what was said is withdrawn.")
    else:
        typer.echo(f"{found['label']}, says {found['source']}, known {_short(found['known_at'])}")
    table = Table("known (UTC)", "label", "source", "recorded (UTC)", "by", box=None)
    for row in found["history"]:
        table.add_row(
            _short(row["known_at"]), row["label"], row["source"], _short(row["recorded_at"]),
            row["recorded_by"],
        )  # fmt: skip
    Console(soft_wrap=True, highlight=False).print(table)


@labels_app.command("sources")
def sources(url: Url = None, key: Key = "", var: Var = None) -> None:
    """Show who may say what events turned out to be, and how often they did."""
    from rich.console import Console
    from rich.table import Table

    table = Table("source", "means", "so far", "known, days after the event", box=None)
    for row in _client(url, key, var).get("/v1/labels/sources"):
        means = f"{row['always']} only" if row["always"] else row["default"] or "either"
        counts = ", ".join(f"{count} {word}" for word, count in row["counts"].items())
        table.add_row(row["name"], means, counts or "nothing", f"{row['delay_days']:g}")
    Console(highlight=False).print(table)


@labels_app.command("export")
def export(
    out: Annotated[
        Path | None, typer.Option(dir_okay=False, help="File to write. Default: standard output")
    ] = None,
    as_of: Annotated[
        str | None, typer.Option(metavar="TIME", help="What was known then, with a zone")
    ] = None,
    url: Url = None,
    key: Key = "",
    var: Var = None,
) -> None:
    """Write the label that counts of each event as CSV, for `features compute --labels`."""
    content = _client(url, key, var).call("GET", "/v1/labels/export", query={"as_of": as_of})
    if out is None:
        sys.stdout.buffer.write(content)
        return
    out.write_bytes(content)
    rows = content.count(b"\r\n") - 1
    typer.echo(f"{out}: {rows} labels")


def _client(url: str | None, key: str, var: Path | None) -> ApiClient:
    from service.cli.api_client import ApiClient
    from service.settings import load_settings

    return ApiClient(load_settings(var), url, key)


def _print_kept(done: dict[str, Any]) -> None:
    repeated = f", {done['repeated']} that were known before" if done["repeated"] else ""
    typer.echo(f"{done['added']} labels added{repeated} (batch {done['batch']})")


def _short(at: str) -> str:
    return datetime.fromisoformat(at).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
