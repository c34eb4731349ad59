"""How does a part of the record get to an auditor? `touchstone ledger export`.

One person asks, another approves, the first one fetches. Invariant: a file that has its name is
whole; a download that broke goes on where it was, also in another run.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.api_client import Key, Url
from service.cli.options import Var
from service.cli.times import TIMES, time_text
from service.counted import filled

if TYPE_CHECKING:
    from service.cli.api_client import ApiClient

export_app = typer.Typer(
    help="Packages of the record that an auditor can prove offline.", no_args_is_help=True
)
Id = Annotated[str, typer.Argument(metavar="ID", help="An id, its beginning, or latest")]
_SHORT = 8


class ExportRefused(Exception):
    """The command cannot do this; the text says why."""

    code = "export_refused"


@export_app.command("request")
def request(  # noqa: PLR0913 - options of a command
    purpose: Annotated[str, typer.Option(help="Why. It stands in the package and is kept")],
    month: Annotated[
        str | None, typer.Option(metavar="YYYY-MM", help="The entries of one month (UTC)")
    ] = None,
    since: Annotated[
        datetime | None, typer.Option(formats=TIMES, help="Entries from this time on (UTC)")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(formats=TIMES, help="Entries before this time (UTC)")
    ] = None,
    first: Annotated[int | None, typer.Option(help="Entries from this number on")] = None,
    last: Annotated[int | None, typer.Option(help="Entries before this number")] = None,
    since_checkpoint: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Everything after this checkpoint"),
    ] = None,
    earlier: Annotated[
        list[Path] | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="A checkpoint, or export.json, that the auditor keeps: the package proves that "
            "the entries under it are unchanged; may be given again",
        ),
    ] = None,
    block: Annotated[
        list[str] | None,
        typer.Option(help="What to disclose: core, staff, subject; may be given again"),
    ] = None,
    entry_type: Annotated[
        list[str] | None,
        typer.Option("--type", help="Disclose only entries of this type; may be given again"),
    ] = None,
    url: Url = None,
    key: Key = "",
    var: Var = None,
) -> None:
    """Ask for a part of the record. Somebody else approves it before it is built."""
    from service.cli.ledger_export_shown import disclosed

    if month is not None:
        if since is not None or until is not None:
            raise typer.BadParameter("give --month or --since and --until")
        since, until = _month(month)
    sizes = [_size_of(file) for file in earlier or ()]
    if since_checkpoint is not None:
        first = _size_of(since_checkpoint)
        sizes.append(first)
    body = {
        "purpose": purpose,
        "since": time_text(since),
        "until": time_text(until),
        "first": first,
        "last": last,
        "earlier": sorted(set(sizes)),
        "blocks": block,
        "types": entry_type,
    }
    asked = {name: value for name, value in body.items() if value is not None}
    found = _client(url, key, var).post("/v1/audit/exports", asked)
    typer.echo(
        filled(
            "Export {}: {:# entry|# entries}, discloses {}; waits for approval.",
            found["id"],
            found["entries"],
            disclosed(found),
        )
    )
    typer.echo(f"Somebody else: touchstone ledger export approve {found['id'][:_SHORT]}")


@export_app.command("list")
def list_(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead")] = False,
    url: Url = None,
    key: Key = "",
    var: Var = None,
) -> None:
    """Show the newest exports: who asked for what and why, and how far each is."""
    from service.cli.ledger_export_shown import show_exports

    found = _client(url, key, var).get("/v1/audit/exports")
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
    else:
        show_exports(found)


@export_app.command("approve")
def approve(
    export_id: Id,
    note: Annotated[str, typer.Option(help="Why it may leave the house")] = "",
    url: Url = None,
    key: Key = "",
    var: Var = None,
) -> None:
    """Approve what somebody else asked for; it is built then."""
    from service.cli.ledger_export_shown import disclosed

    found = _step(_client(url, key, var), export_id, "approve", {"note": note})
    typer.echo(f"Approved: {disclosed(found)}, entries {found['first']}..{found['last'] - 1}")
    typer.echo(f"For: {found['purpose']}")
    typer.echo(f"{found['requested_by']}: touchstone ledger export fetch {_short(found)}")


@export_app.command("refuse")
def refuse(
    export_id: Id,
    reason: Annotated[str, typer.Option(help="Why it may not")],
    url: Url = None,
    key: Key = "",
    var: Var = None,
) -> None:
    """Refuse what somebody else asked for."""
    _step(_client(url, key, var), export_id, "refuse", {"reason": reason})
    typer.echo("Refused.")


@export_app.command("cancel")
def cancel(export_id: Id, url: Url = None, key: Key = "", var: Var = None) -> None:
    """Withdraw your own request, stop the building of a package, or take a ready one back."""
    found = _step(_client(url, key, var), export_id, "cancel", None)
    is_running = found["state"] == "running"
    typer.echo("It is being stopped." if is_running else f"The export is {found['state']}.")


@export_app.command("retry")
def retry(export_id: Id, url: Url = None, key: Key = "", var: Var = None) -> None:
    """Have a package built again that could not be built."""
    _step(_client(url, key, var), export_id, "retry", None)
    typer.echo("Queued again.")


@export_app.command("fetch")
def fetch(
    export_id: Id,
    out: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="New file to write. Default: touchstone-export-ID.tar"),
    ] = None,
    url: Url = None,
    key: Key = "",
    var: Var = None,
) -> None:
    """Wait until a package is built, and fetch it; run again to go on with a broken download."""
    from service.cli.files import check_new
    from service.cli.ledger_export_fetch import built, fetched

    client = _client(url, key, var)
    export = _found(client, export_id)
    file = out or Path(f"touchstone-export-{_short(export)}.tar")
    check_new(file)  # before what may take an hour
    export = built(client, export)
    fetched(client, export, file)
    size = "{}: {:# entry|# entries}, {} bytes"
    typer.echo(filled(size, file, export["entries"], export["bytes"]))
    typer.echo(f"Prove it: tar xf {file} verify.py && python3 verify.py {file} --key VKEY")


def _client(url: str | None, key: str, var: Path | None) -> ApiClient:
    from service.cli.api_client import ApiClient
    from service.settings import load_settings

    return ApiClient(load_settings(var), url, key)


def _found(client: ApiClient, export_id: str) -> dict[str, Any]:
    """Return the export that an id, or the beginning of one, names; `latest`: the newest."""
    newest = client.get("/v1/audit/exports")
    found = [one for one in newest if one["id"].startswith(export_id.lower())]
    if export_id == "latest":
        found = newest[:1]
    if len(found) != 1:
        some = "no export" if not found else f"{len(found)} exports"
        raise ExportRefused(f"{some} of this id: `touchstone ledger export list` shows them")
    return dict(found[0])


def _step(client: ApiClient, export_id: str, step: str, body: Any) -> dict[str, Any]:
    from service.cli.api_client import path

    found = _found(client, export_id)
    answer: dict[str, Any] = client.post(path("v1", "audit", "exports", found["id"], step), body)
    return answer


def _short(export: dict[str, Any]) -> str:
    return str(export["id"])[:_SHORT]


def _month(text: str) -> tuple[datetime, datetime]:
    """Return when a month begins and ends.

    >>> [at.isoformat() for at in _month("2026-12")]
    ['2026-12-01T00:00:00+00:00', '2027-01-01T00:00:00+00:00']
    """
    try:
        begin = datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC)
    except ValueError:
        raise typer.BadParameter("a month is YYYY-MM, such as 2026-10") from None
    end = begin.replace(year=begin.year + begin.month // 12, month=begin.month % 12 + 1)
    return begin, end


def _size_of(file: Path) -> int:
    from service.ledger.note import NoteInvalid, parse_checkpoint, parse_note

    try:
        text = file.read_text(encoding="utf-8")
        if text.startswith("{"):  # the export.json of a package has one
            text = str(json.loads(text).get("checkpoint"))
        return parse_checkpoint(parse_note(text).text).size
    except (OSError, ValueError, NoteInvalid):
        raise ExportRefused(f"{file} is neither a checkpoint nor an export.json") from None
