"""Who and what is allowed, denied or watched? `touchstone lists ...`, through the API.

Invariant: an identifier that is typed in or read from a file goes to the service and nowhere else;
`-` as a value keeps it out of the shell's history.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.api_client import Key, Url
from service.cli.options import Var

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from service.cli.api_client import ApiClient

lists_app = typer.Typer(
    help="Lists that rules ask for: allow, deny, watch. Identifiers are kept as tags only.",
    no_args_is_help=True,
)

FAILED = 1
SHOWN = 50
WIDTH = 150
_DAYS = {"d": 1, "w": 7}

Name = Annotated[str, typer.Argument(metavar="LIST", help="Such as stolen_devices")]
Entities = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KIND=VALUE]...",
        help="Such as device=dev-7f3a; KIND=- reads values from standard input, one a line",
        show_default=False,
    ),
]
Reason = Annotated[str, typer.Option(help="Why, in one line, without identifiers of customers")]
Owner = Annotated[str | None, typer.Option(help="Who answers for it. Default: you")]
Expires = Annotated[
    str | None,
    typer.Option(
        metavar="WHEN", help="30d, 8w, 2027-06-30 or a time with a zone. Default: it stays"
    ),
]
Kind = Annotated[str | None, typer.Option(help="Kind of all entities of the file, or to show")]


@lists_app.command("create")
def create(
    name: Name,
    purpose: Annotated[str, typer.Option(help="allow, deny or watch")],
    description: Annotated[str, typer.Option(help="What is on it")],
    url: Url = None,
    key: Key = "",
    var: Var = None,
) -> None:
    """Make a list. It does nothing until a rule asks: in_list("NAME", "device")."""
    body = {"name": name, "purpose": purpose, "description": description}
    _client(url, key, var).post("/v1/lists", body)
    typer.echo(f'Made {name}. Rules ask for it by in_list("{name}", "device").')


@lists_app.command("show")
def show(
    name: Annotated[str | None, typer.Argument(metavar="[LIST]", help="Default: all")] = None,
    kind: Kind = None,
    state: Annotated[str, typer.Option(help="active, expired, removed or all")] = "active",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead")] = False,
    url: Url = None,
    key: Key = "",
    var: Var = None,
) -> None:
    """Show the lists, or the entries of one."""
    import json

    from service.cli.api_client import path

    client = _client(url, key, var)
    if name is None:
        found = client.get("/v1/lists")
    else:
        found = client.get(path("v1", "lists", name, "entries"), kind=kind, state=state)
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
    elif name is None:
        _print_lists(found)
    else:
        _print_entries(found["entries"][:SHOWN], is_cut=len(found["entries"]) > SHOWN)


@lists_app.command("add")
def add(
    name: Name,
    reason: Reason,
    entities: Entities = None,
    owner: Owner = None,
    expires: Expires = None,
    url: Url = None,
    key: Key = "",
    var: Var = None,
) -> None:
    """Add entities to a list; what is on it already is replaced."""
    from service.cli.api_client import path

    rows = _entities(entities)
    body = {"entries": rows, "reason": reason, "owner": owner, "expires_at": _when(expires)}
    _print_added(_client(url, key, var).post(path("v1", "lists", name, "entries"), body))


@lists_app.command("remove")
def remove(
    name: Name,
    reason: Reason,
    entities: Entities = None,
    url: Url = None,
    key: Key = "",
    var: Var = None,
) -> None:
    """Take entities off a list; fails when one was not on it."""
    from service.cli.api_client import path

    body = {"entries": _entities(entities), "reason": reason}
    done = _client(url, key, var).post(path("v1", "lists", name, "remove"), body)
    typer.echo(f"{done['removed']} removed from {name}")
    if done["absent"]:
        typer.echo(f"{done['absent']} not on {name}", err=True)
        raise typer.Exit(FAILED)


@lists_app.command("test")
def look_up(
    entities: Entities = None,
    url: Url = None,
    key: Key = "",
    var: Var = None,
) -> None:
    """Say on which lists entities are at the moment; fails when one is on none."""
    rows = _entities(entities)
    found = _client(url, key, var).post("/v1/lists/test", {"entries": rows})
    table = _table("kind", "tag", "list", "reason", "owner", "expires (UTC)")
    for one in found:
        for entry in one["entries"]:
            table.add_row(
                one["kind"], one["tag"], entry["list"], entry["reason"], entry["owner"],
                _short(entry["expires_at"]) or "no end",
            )  # fmt: skip
        if not one["entries"]:
            table.add_row(one["kind"], one["tag"], "on no list", "", "", "")
    _console().print(table)
    if not all(one["entries"] for one in found):
        raise typer.Exit(FAILED)


@lists_app.command("import")
def import_(  # noqa: PLR0913 - options of a command
    name: Name,
    file: Annotated[
        Path,
        typer.Argument(
            help="CSV: kind, value (or tag), reason, owner, expires_at; - is standard input",
        ),
    ],
    kind: Kind = None,
    reason: Annotated[str | None, typer.Option(help="For rows that say none")] = None,
    owner: Owner = None,
    expires: Expires = None,
    url: Url = None,
    key: Key = "",
    var: Var = None,
) -> None:
    """Add the rows of a CSV, all or none."""
    import json

    from service.cli.api_client import path
    from service.cli.files import read_bytes

    body = read_bytes(file)
    answer = _client(url, key, var).call(
        "POST",
        path("v1", "lists", name, "import"),
        body=body,
        content_type="text/csv",
        query={"kind": kind, "reason": reason, "owner": owner, "expires_at": _when(expires)},
    )
    _print_added(json.loads(answer))


@lists_app.command("export")
def export(
    name: Name,
    out: Annotated[
        Path | None, typer.Option(dir_okay=False, help="File to write. Default: standard output")
    ] = None,
    url: Url = None,
    key: Key = "",
    var: Var = None,
) -> None:
    """Write the entries in force as CSV: tags and what is said of them, no identifiers."""
    from service.cli.api_client import path

    content = _client(url, key, var).call("GET", path("v1", "lists", name, "export"))
    if out is None:
        sys.stdout.buffer.write(content)
    else:
        out.write_bytes(content)
        rows = content.count(b"\r\n") - 1
        typer.echo(f"{out}: {rows} entries")


def _client(url: str | None, key: str, var: Path | None) -> ApiClient:
    from service.cli.api_client import ApiClient
    from service.settings import load_settings

    return ApiClient(load_settings(var), url, key)


def _entities(words: list[str] | None) -> list[dict[str, str]]:
    rows = []
    for word in words or []:
        kind, equals, value = word.partition("=")
        if not equals or not value:
            raise typer.BadParameter("name an entity as KIND=VALUE, such as device=dev-7f3a")
        values = [value]
        if value == "-":
            values = [line.strip() for line in sys.stdin if line.strip()]
        rows += [{"kind": kind, "value": one} for one in values]
    if not rows:
        raise typer.BadParameter("name an entity as KIND=VALUE, such as device=dev-7f3a")
    return rows


def _when(text: str | None) -> str | None:
    """Return a time as the API takes it.

    >>> _when("2027-06-30"), _when("2027-06-30T12:00:00+08:00")
    ('2027-06-30T00:00:00+00:00', '2027-06-30T12:00:00+08:00')
    """
    if text is None:
        return None
    if text[:-1].isdecimal() and text[-1] in _DAYS and len(text) < 6:
        after = timedelta(days=int(text[:-1]) * _DAYS[text[-1]])
        return (datetime.now(UTC) + after).isoformat(timespec="seconds")
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("a time is 30d, 8w, 2027-06-30 or has a zone") from None
    if at.tzinfo is None and len(text) > len("2027-06-30"):
        raise typer.BadParameter("a time of day needs a zone, such as 2027-06-30T12:00+08:00")
    return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).isoformat()


def _print_added(done: dict[str, Any]) -> None:
    parts = [f"{done['added']} added to {done['list']}"]
    if done["replaced"]:
        parts.append(f"{done['replaced']} replaced")
    if done["repeated"]:
        parts.append(f"{done['repeated']} rows left out that a later one repeats")
    typer.echo(", ".join(parts))


def _table(*columns: str) -> Table:
    """Return a table in which nothing but reasons is ever broken or cut: tags are copied."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in columns:
        table.add_column(name, no_wrap=name != "reason", overflow="fold")
    return table


def _console() -> Console:
    from rich.console import Console

    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=WIDTH)


def _print_lists(found: list[dict[str, Any]]) -> None:
    if not found:
        typer.echo("There is no list. `touchstone lists create` makes one.")
        return
    table = _table("list", "purpose", "entries in force", "made by", "what")
    for row in found:
        counts = ", ".join(f"{count} {kind}" for kind, count in row["entries"].items()) or "none"
        table.add_row(row["name"], row["purpose"], counts, row["created_by"], row["description"])
    _console().print(table)


def _print_entries(entries: list[dict[str, Any]], *, is_cut: bool) -> None:
    if not entries:
        typer.echo("No entries.")
        return
    table = _table("kind", "tag", "state", "reason", "owner", "added (UTC)", "until (UTC)")
    for row in entries:
        reason, until = row["reason"], _short(row["expires_at"]) or "no end"
        if row["removed_at"]:
            reason = f"{reason} (removed by {row['removed_by']}: {row['removal']})"
            until = _short(row["removed_at"])
        table.add_row(
            row["kind"], row["tag"], row["state"], reason, row["owner"], _short(row["added_at"]),
            until,
        )  # fmt: skip
    _console().print(table)
    if is_cut:
        typer.echo(f"The first {SHOWN}; `touchstone lists export` writes all, --json more.")


def _short(at: str | None) -> str:
    return (
        "" if at is None else datetime.fromisoformat(at).astimezone(UTC).strftime("%Y-%m-%d %H:%M")
    )
