"""Who and what is allowed, denied or watched? Lists and their entries.

Identifiers come in and never go out: they are tagged at once. Every change is an action, recorded
in the ledger with a digest of its entries, together with its effect or not at all.
"""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response, StreamingResponse

from features.tags import Tagger
from service.access import Caller
from service.api import openapi
from service.api.authorized import allowed
from service.api.bounded import BoundedRoute
from service.api.csv_body import read_csv_body
from service.api.lists_models import (
    AddedAnswer,
    EntitiesBody,
    EntityBody,
    EntriesAnswer,
    EntriesBody,
    EntryAnswer,
    FoundAnswer,
    ListAnswer,
    ListBody,
    RemovalBody,
    RemovedAnswer,
    StateName,
)
from service.csv_rows import Problems, csv_rows, problem, refuse_rows
from service.lists.entries import (
    COLUMNS,
    EXPORTED,
    BadEntry,
    Entity,
    StatedEntry,
    digest_of,
    reason_problems,
    stated_entity,
    stated_entry,
    utc_now,
)
from service.lists.table import (
    EntryRow,
    add_entries,
    all_lists,
    create_list,
    entries_of,
    list_named,
    page_of_entries,
    remove_entries,
)
from service.runtime import Runtime
from service.texts import Name
from service.turns import in_turns

router = APIRouter(tags=["lists"], route_class=BoundedRoute)

Reader = Annotated[Caller, Depends(allowed("lists:read"))]
Writer = Annotated[Caller, Depends(allowed("lists:write", person=True))]
ListName = Annotated[str, Path(pattern="^[a-z][a-z0-9_]{0,40}$")]
Default = Annotated[str | None, Query(description="For rows that leave it out.")]
PAGE = 500
EXPORT_PAGE = 2_000


def _documented(*more: str, **extra: Any) -> dict[str, Any]:
    return {
        "responses": openapi.problems(*openapi.ADMIN_PROBLEMS, *openapi.BODY_PROBLEMS, *more),
        "openapi_extra": {"security": [{"api_key": []}], **extra},
    }


@router.get("/v1/lists", **_documented())
async def read_lists(request: Request, _: Reader) -> list[ListAnswer]:
    """List the lists, with how many entries of each kind are in force."""
    async with _runtime(request).actions.connection() as connection:
        return [ListAnswer.of(row) for row in await all_lists(connection)]


@router.post("/v1/lists", status_code=201, **_documented("list_exists"))
async def make_list(request: Request, caller: Writer, body: ListBody) -> ListAnswer:
    """Make a list. It does nothing until a rule asks for it."""
    what = {"list": body.name, "purpose": body.purpose}
    async with _runtime(request).actions.action("lists.create", caller.who, **what) as action:
        row = await create_list(
            action.connection, body.name, body.purpose, body.description, caller.actor
        )
    return ListAnswer.of(row)


@router.post("/v1/lists/test", **_documented("rows_invalid"))
async def look_up(request: Request, _: Reader, body: EntitiesBody) -> list[FoundAnswer]:
    """Say for each entity on which lists it is at the moment."""
    runtime, now = _runtime(request), utc_now()
    entities = await _entities(body.entries, runtime.brain.tagger)
    async with runtime.actions.connection() as connection:
        return [
            FoundAnswer.of(entity, await entries_of(connection, entity), now)
            for entity in entities
        ]  # fmt: skip


@router.get("/v1/lists/{name}", **_documented("unknown_list"))
async def read_list(request: Request, _: Reader, name: ListName) -> ListAnswer:
    """Return one list."""
    async with _runtime(request).actions.connection() as connection:
        return ListAnswer.of(await list_named(connection, name))


@router.get("/v1/lists/{name}/entries", **_documented("unknown_list"))
async def read_entries(
    request: Request,
    _: Reader,
    name: ListName,
    kind: Name | None = None,
    state: StateName = "active",
    after: Annotated[int, Query(ge=0, lt=2**63)] = 0,
    limit: Annotated[int, Query(ge=1, le=PAGE)] = PAGE,
) -> EntriesAnswer:
    """Return entries in the order in which they were added, page by page."""
    async with _runtime(request).actions.connection() as connection:
        rows = await page_of_entries(connection, name, after, limit, kind=kind, state=state)
    now = utc_now()
    entries = [EntryAnswer.of(row, now) for row in rows]
    return EntriesAnswer(entries=entries, next=rows[-1].id if len(rows) == limit else None)


@router.post(
    "/v1/lists/{name}/entries", **_documented("unknown_list", "rows_invalid", "lists_full")
)
async def add(request: Request, caller: Writer, name: ListName, body: EntriesBody) -> AddedAnswer:
    """Add entries, all or none. One of an entity that is on the list replaces the other."""
    defaults = {
        "reason": body.reason,
        "owner": body.owner or caller.actor,
        "expires_at": body.expires_at,
    }
    tagger, now = _runtime(request).brain.tagger, utc_now()
    entries: list[StatedEntry] = []
    problems: Problems = []
    async for place, row in in_turns(enumerate(body.entries)):
        try:
            entries.append(stated_entry(row.model_dump(), defaults, tagger, now))
        except BadEntry as error:
            problems += [_at(f"/entries/{place}/{column}", text) for column, text in error.wrong]
    refuse_rows(problems)
    return await _add(request, caller, "lists.add", name, entries)


@router.post(
    "/v1/lists/{name}/import",
    **_documented(
        "unknown_list", "rows_invalid", "too_many_rows", "lists_full",
        requestBody=openapi.csv_body(
            "Columns kind, value or tag, reason, owner, expires_at. What all rows share may stand "
            "in the query instead.",
            "kind,value,reason,expires_at\n"
            "device,dev-7f3a,reported stolen,2027-06-30T00:00:00Z\n"
            "email,li@example.com,case 4711,\n",
        ),
    ),
)  # fmt: skip
async def import_csv(
    request: Request,
    caller: Writer,
    name: ListName,
    kind: Default = None,
    reason: Default = None,
    owner: Default = None,
    expires_at: Default = None,
) -> AddedAnswer:
    """Add the rows of a CSV, all or none; 100,000 at most."""
    body = await read_csv_body(request)
    defaults = {
        "kind": kind,
        "reason": reason,
        "owner": owner or caller.actor,
        "expires_at": expires_at,
    }
    defaults = {column: cell for column, cell in defaults.items() if cell is not None}
    one_of = [
        ("value", "tag"),
        *((column,) for column in ("kind", "reason") if column not in defaults),
    ]
    tagger, now = _runtime(request).brain.tagger, utc_now()
    entries: list[StatedEntry] = []
    problems: Problems = []
    async for line, cells in in_turns(csv_rows(body, {*COLUMNS, *EXPORTED}, one_of)):
        try:
            entries.append(stated_entry(cells, defaults, tagger, now))
        except BadEntry as error:
            problems += [problem(line, column, text) for column, text in error.wrong]
    refuse_rows(problems)
    return await _add(request, caller, "lists.import", name, entries)


@router.get(
    "/v1/lists/{name}/export",
    response_class=StreamingResponse,
    **_documented("unknown_list"),
)
async def export_csv(request: Request, _: Reader, name: ListName) -> Response:
    """Return the entries in force as CSV: tags and what is said of them, no values."""
    async with _runtime(request).actions.connection() as connection:
        await list_named(connection, name)
    return StreamingResponse(
        _exported(_runtime(request), name),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}.csv"'},
    )


@router.post("/v1/lists/{name}/remove", **_documented("unknown_list", "rows_invalid"))
async def remove(
    request: Request, caller: Writer, name: ListName, body: RemovalBody
) -> RemovedAnswer:
    """Take entities off a list; it stays on record that they were on it."""
    runtime = _runtime(request)
    entities = await _entities(body.entries, runtime.brain.tagger)
    values = [row.value for row in body.entries]
    wrong = {text for value in values for text in reason_problems(body.reason, value)}
    refuse_rows([_at("/reason", text) for text in sorted(wrong)])
    wanted = list(dict.fromkeys(entities))
    what = {"list": name, "reason": body.reason, "entries": digest_of(wanted)}
    async with runtime.actions.action("lists.remove", caller.who, **what) as action:
        removed = await remove_entries(
            action.connection, name, wanted, body.reason.strip(), caller.actor
        )
        action.what["removed"] = removed
    return RemovedAnswer(list=name, removed=removed, absent=len(wanted) - removed)


async def _add(
    request: Request, caller: Caller, kind: str, name: str, stated: list[StatedEntry]
) -> AddedAnswer:
    if not stated:
        refuse_rows([_at("", "There is no row.")])
    runtime = _runtime(request)
    entries = list({(entry.kind, entry.tag): entry for entry in stated}.values())
    what = {"list": name, "entries": digest_of(entries)}
    async with runtime.actions.action(kind, caller.who, **what) as action:
        most = runtime.settings.lists.max_entries
        added = await add_entries(action.connection, name, entries, caller.actor, most)
        action.what.update(added._asdict())
    return AddedAnswer.of(name, added, len(stated) - len(entries))


async def _entities(rows: Iterable[EntityBody], tagger: Tagger) -> list[Entity]:
    entities: list[Entity] = []
    problems: Problems = []
    async for place, row in in_turns(enumerate(rows)):
        try:
            entities.append(stated_entity(row.model_dump(), tagger))
        except BadEntry as error:
            problems += [_at(f"/entries/{place}/{column}", text) for column, text in error.wrong]
    refuse_rows(problems)
    return entities


async def _exported(runtime: Runtime, name: str) -> AsyncIterator[str]:
    yield ",".join(EXPORTED) + "\r\n"
    async with runtime.actions.connection() as connection:
        rows: list[EntryRow] = []
        while not rows or len(rows) == EXPORT_PAGE:
            after = rows[-1].id if rows else 0
            rows = await page_of_entries(
                connection, name, after, EXPORT_PAGE, kind=None, state="active"
            )
            page = io.StringIO()
            writer = csv.writer(page)
            async for row in in_turns(rows):
                cells = row._asdict()
                times = {key: _text(cells[key]) for key in ("expires_at", "added_at")}
                writer.writerow([{**cells, **times}[column] for column in EXPORTED])
            yield page.getvalue()
            if not rows:
                return


def _text(at: Any) -> str:
    return "" if at is None else at.isoformat()


def _at(pointer: str, text: str) -> dict[str, str]:
    return {"pointer": pointer, "code": "invalid_value", "detail": text}


def _runtime(request: Request) -> Runtime:
    runtime: Runtime = request.app.state.runtime
    return runtime
