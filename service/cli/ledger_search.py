"""Which entries are about somebody? `touchstone ledger search` and `reveal`, through the API.

Invariant: an identifier that is typed in goes to the service and nowhere else; `KIND=-` keeps it
out of the shell's history.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import Annotated, Any

import typer

from service.cli.api_client import Key, Url
from service.cli.options import Var
from service.cli.times import TIMES, time_text
from service.counted import filled

Purpose = Annotated[str, typer.Option(help="Why you look, without identifiers of customers")]
EntryId = Annotated[str, typer.Argument(metavar="ID", help="32 hexadecimal digits")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead")]
WIDTH = 150


def search(  # noqa: PLR0913 - an option each
    purpose: Purpose,
    entity: Annotated[
        str | None,
        typer.Argument(
            metavar="[KIND=VALUE]",
            help="Such as user=u-1, or event=ID; KIND=- reads the value from standard input",
            show_default=False,
        ),
    ] = None,
    tag: Annotated[str | None, typer.Option(metavar="KIND:TAG", help="A tag instead")] = None,
    since: Annotated[
        datetime | None,
        typer.Option(formats=TIMES, help="From this time on (UTC); default: 31 days"),
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(formats=TIMES, help="... before this time")
    ] = None,
    types: Annotated[
        list[str] | None, typer.Option("--type", help="Type of entries, such as decision")
    ] = None,
    event_types: Annotated[
        list[str] | None, typer.Option("--event", help="Decisions about such events")
    ] = None,
    outcomes: Annotated[
        list[str] | None, typer.Option("--outcome", help="approve, challenge, review or decline")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=500)] = 100,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = "",
    var: Var = None,
) -> None:
    """Find entries about somebody, or of a time. The search is itself recorded."""
    body: dict[str, Any] = {"purpose": purpose, "limit": limit, **_entity(entity, tag)}
    said = {
        "since": time_text(since), "until": time_text(until),
        "types": types, "event_types": event_types, "outcomes": outcomes,
    }  # fmt: skip
    body |= {name: value for name, value in said.items() if value}
    found = _client(url, key, var).post("/v1/audit/search", body)
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
        return
    for entry in found["entries"]:
        answer = (entry["core"] or {}).get("answer") or {}
        parts = [entry["time"], entry["entry_id"], entry["type"], answer.get("type") or ""]
        parts += [answer.get("outcome") or "", entry["states"].get("subject") or ""]
        typer.echo("  ".join(part for part in parts if part))
    count = len(found["entries"])
    more = "; there is more: search a shorter time" if found["is_cut"] else ""
    typer.echo(filled("{:# entry|# entries}{}.", count, more))


def reveal(
    entry: EntryId, purpose: Purpose, url: Url = None, key: Key = "", var: Var = None
) -> None:
    """Open one entry: what was known of the person, who did it and why. It is recorded."""
    from service.cli.api_client import path

    found = _client(url, key, var).post(
        path("v1", "audit", "entries", entry, "reveal"), {"purpose": purpose}
    )
    typer.echo(json.dumps(found, ensure_ascii=False, indent=2))


def _entity(entity: str | None, tag: str | None) -> dict[str, Any]:
    if entity is not None and tag is not None:
        raise typer.BadParameter("give KIND=VALUE or --tag, not both")
    if tag is not None:
        kind, _, text = tag.partition(":")
        return {"kind": kind, "tag": text}
    if entity is None:
        return {}
    kind, equals, value = entity.partition("=")
    if not equals or not value:
        raise typer.BadParameter("name somebody as KIND=VALUE, such as user=u-1")
    if value == "-":
        value = sys.stdin.readline().strip()
    return {"kind": kind, "value": json.loads(value) if kind == "shipping_address" else value}


def _client(url: str | None, key: str, var: Any) -> Any:
    from service.cli.api_client import ApiClient
    from service.settings import load_settings

    return ApiClient(load_settings(var), url, key)
