"""What does the velocity store know, and is it complete? `touchstone features show | status`.

Invariant: an identifier that is typed in becomes a tag at once; it is never printed or logged.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.options import Var

if TYPE_CHECKING:
    from features.velocity.history_store import SeriesState
    from service.cli.stores import Stores
    from service.history.job import Job
    from service.store_state import StoreState

INCOMPLETE = 1
CALL_SECONDS = 5.0
WIDTH = 160


def show(
    entity: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND=ID",
            help="Such as device=dev-1, or shipping_address={JSON}; twice: also their pair",
        ),
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option(metavar="KIND:TAG", help="Such as device:<tag>")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead")] = False,
    var: Var = None,
) -> None:
    """Print what the velocity store knows about an entity. The identifier is tagged on the spot."""
    import orjson

    from service.cli.stores import with_stores
    from service.entity_names import BadEntity, named_tags
    from service.rights.restrictions import restricted_tags
    from service.settings import load_settings

    settings = load_settings(var)

    async def act(stores: Stores) -> list[dict[str, Any]]:
        tags = named_tags(entity or [], tag or [], stores.tagger)
        named = {f"{kind}:{value}" for kind, value in tags.items()}
        if named & await restricted_tags(stores.database):
            raise BadEntity("reading about this person is restricted: ask compliance")
        return await _looked_up(stores, tags)

    found = with_stores(settings, act)
    if as_json:
        typer.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())
        return
    for one in found:
        _print_entity(one)


def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead")] = False,
    var: Var = None,
) -> None:
    """Say which series are complete, and what to do about the others. Exit code 1: not all are."""
    import orjson

    from service.cli.stores import with_stores
    from service.settings import load_settings

    report = with_stores(load_settings(var), _status)
    if as_json:
        typer.echo(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode())
    else:
        _print_status(report)
    raise typer.Exit(0 if report["state"] in ("complete", "new") else INCOMPLETE)


async def _looked_up(stores: Stores, tags: dict[str, str]) -> list[dict[str, Any]]:
    from features.series_identity import declared_series
    from features.velocity.history_store import ValkeyVelocityHistory
    from service.completeness import gap_of, now_ms
    from service.store_state import StoreStates

    declared = declared_series(stores.catalog)
    gap = gap_of(declared, await StoreStates(stores.valkey, CALL_SECONDS).read())
    velocity, at_ms = ValkeyVelocityHistory(stores.valkey), now_ms()
    found = []
    for kind, tag in tags.items():
        rows = []
        for name, series in declared.items():
            if series.plan.entity == kind:
                state = await velocity.peek(kind, tag, series.plan, at_ms, CALL_SECONDS)
                whole = not gap.everything_lost and name not in gap.incomplete
                rows.append(_row(name, series.plan.measure, state, whole))
        found.append({"kind": kind, "tag": tag, "series": rows})
    return found


def _row(name: str, measure: str, state: SeriesState, is_complete: bool) -> dict[str, Any]:
    return {
        "series": name,
        "measure": measure,
        "complete": is_complete,
        "features": dict(state.answers),
        "members": state.members,
        "size_bytes": state.size_bytes,
        "first": _time(state.first_ms),
        "last": _time(state.last_ms),
        "thinned": state.thinned,
    }


def _print_entity(one: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:  # a file or a pipe has no width
        console = Console(width=WIDTH)
    console.print(f"{one['kind']}:{one['tag']}", highlight=False)
    table = Table(box=None)
    for title in ("", "value", "members", "bytes", "first (UTC)", "last (UTC)", ""):
        table.add_column(title, no_wrap=True)
    for row in one["series"]:
        if not row["members"]:
            continue
        notes = [] if row["complete"] else ["incomplete"]
        notes.append("thinned" if row["thinned"] else "exact")
        table.add_row(
            f"{row['series']} ({row['measure']})",
            "",
            str(row["members"]),
            str(row["size_bytes"]),
            row["first"][:19],
            row["last"][:19],
            ", ".join(notes),
        )
        for name, value in row["features"].items():
            table.add_row(f"  {name}", str(value))
    known = sum(1 for row in one["series"] if row["members"])
    console.print(table if known else "nothing is known")


async def _status(stores: Stores) -> dict[str, Any]:
    from features.series_identity import declared_series
    from service.completeness import gap_of
    from service.history.job import load_job
    from service.history.reader import has_events
    from service.store_state import StoreStates

    states = StoreStates(stores.valkey, CALL_SECONDS)
    declared = declared_series(stores.catalog)
    state: StoreState = await states.read()
    job: Job | None = await load_job(states)
    gap = gap_of(declared, state)
    if gap.everything_lost:
        word = "lost" if await has_events(stores.database) else "new"
    else:
        word = "incomplete" if gap.incomplete else "complete"
    return {
        "state": word,
        "series": {
            name: {
                "complete": not gap.everything_lost and name not in gap.incomplete,
                "since": _time(state.series[name].since_ms) if name in state.series else None,
            }
            for name in declared
        },
        "missed_events": state.missed,
        "missed_since": _time(state.missed_since_ms),
        "under_way": None
        if job is None
        else {"what": job.kind, "events": job.events, "started": _time(job.started_ms)},
    }


def _print_status(report: dict[str, Any]) -> None:
    series = report["series"]
    incomplete = sorted(name for name, one in series.items() if not one["complete"])
    if report["state"] == "new":
        typer.echo("new: nothing was recorded yet")
    elif report["state"] == "lost":
        typer.echo("lost: nothing of the velocity store is offered; `touchstone features rebuild`")
    else:
        typer.echo(f"{len(series) - len(incomplete)} of {len(series)} series are complete")
        for name in incomplete:
            typer.echo(f"  {name}: not offered to rules until `touchstone features backfill`")
    if report["missed_events"]:
        typer.echo(
            f"up to {report['missed_events']} events since {report['missed_since']} are recorded "
            "but perhaps not counted, as the store did not answer in time; "
            "`touchstone features rebuild` counts them"
        )
    if report["under_way"] is not None:
        job = report["under_way"]
        typer.echo(f"{job['what']} since {job['started']}: {job['events']} events so far")


def _time(at_ms: int | None) -> str | None:
    if at_ms is None:
        return None
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
