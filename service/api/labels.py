"""What did events turn out to be? Chargebacks, confirmed abuse, good customers, review results.

Every addition is an action, recorded in the ledger with a digest of its rows; nothing is ever
changed, a correction is a later label.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import uuid4

import orjson
from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response, StreamingResponse

from features.event_fields import Id
from service.access import Caller
from service.api import openapi
from service.api.authorized import allowed
from service.api.bounded import BoundedRoute
from service.api.csv_body import read_csv_body
from service.api.labels_models import (
    HistoryAnswer,
    KeptAnswer,
    LabelAnswer,
    LabelsAnswer,
    LabelsBody,
    SourceAnswer,
)
from service.csv_rows import Problems, csv_rows, problem, refuse_rows
from service.labels.sources import shipped_sources
from service.labels.stated import COLUMNS, BadLabel, keep_labels, stated_label, utc_now
from service.labels.store import (
    WORDS,
    StatedLabel,
    counts_by_source,
    effective_labels,
    history_of,
    known_labels,
    page_of_labels,
)
from service.runtime import Runtime
from service.texts import Moment, Name
from service.turns import in_turns

router = APIRouter(tags=["labels"], route_class=BoundedRoute)

Reader = Annotated[Caller, Depends(allowed("labels:read"))]
Writer = Annotated[Caller, Depends(allowed("labels:write"))]
EventTag = Annotated[str, Query(pattern="^[A-Za-z0-9_-]{22}$")]
PAGE = 500
EXPORT_PAGE = 2_000
EXPORTED = ("event_tag", "label", "source", "known_at")


def _documented(*more: str, **extra: Any) -> dict[str, Any]:
    return {
        "responses": openapi.problems(*openapi.ADMIN_PROBLEMS, *openapi.BODY_PROBLEMS, *more),
        "openapi_extra": {"security": [{"api_key": []}], **extra},
    }


@router.post("/v1/labels", **_documented("rows_invalid"))
async def add(request: Request, caller: Writer, body: LabelsBody) -> KeptAnswer:
    """Say what events turned out to be, all of them or none."""
    tagger, now = _runtime(request).brain.tagger, utc_now()
    stated: list[StatedLabel] = []
    problems: Problems = []
    async for place, row in in_turns(enumerate(body.labels)):
        try:
            stated.append(stated_label(row.model_dump(), shipped_sources(), tagger, now))
        except BadLabel as error:
            problems += [
                {
                    "pointer": f"/labels/{place}/{column}",
                    "code": "invalid_value",
                    "detail": text,
                }
                for column, text in error.wrong
            ]  # fmt: skip
    refuse_rows(problems)
    pointers = [f"/labels/{place}/" for place in range(len(stated))]
    return await _add(request, caller, "labels.add", stated, pointers)


@router.post(
    "/v1/labels/import",
    **_documented(
        "rows_invalid",
        "too_many_rows",
        requestBody=openapi.csv_body(
            "Columns event_id or event_tag, source, label, known_at. What all rows share may stand "
            "in the query instead.",
            "event_id,label,source,known_at\n"
            "ord-7f3a,,chargeback,2026-11-20T00:00:00Z\n"
            "ord-7f3b,honest,review_result,\n",
        ),
    ),
)
async def import_csv(
    request: Request,
    caller: Writer,
    source: Annotated[str | None, Query(description="For rows that leave it out.")] = None,
    label: Annotated[str | None, Query(description="For rows that leave it out.")] = None,
) -> KeptAnswer:
    """Add the labels of a CSV, all or none; 100,000 rows at most."""
    body = await read_csv_body(request)
    given = {"source": source, "label": label}
    defaults = {column: cell for column, cell in given.items() if cell is not None}
    one_of = [("event_id", "event_tag"), *([] if source else [("source",)])]
    tagger, now = _runtime(request).brain.tagger, utc_now()
    stated: list[StatedLabel] = []
    pointers: list[str] = []
    problems: Problems = []
    async for line, cells in in_turns(csv_rows(body, COLUMNS, one_of)):
        try:
            stated.append(stated_label({**defaults, **cells}, shipped_sources(), tagger, now))
            pointers.append(f"line {line}: ")
        except BadLabel as error:
            problems += [problem(line, column, text) for column, text in error.wrong]
    refuse_rows(problems)
    return await _add(request, caller, "labels.import", stated, pointers)


@router.get("/v1/labels", **_documented())
async def read_labels(
    request: Request,
    _: Reader,
    source: Name | None = None,
    known_since: Moment | None = None,
    after: Annotated[int, Query(ge=0, lt=2**63)] = 0,
    limit: Annotated[int, Query(ge=1, le=PAGE)] = PAGE,
) -> LabelsAnswer:
    """Return labels in the order in which they came in, page by page."""
    async with _runtime(request).actions.connection() as connection:
        rows = await page_of_labels(connection, after, limit, source=source, since=known_since)
    labels = [LabelAnswer.of(row) for row in rows]
    return LabelsAnswer(labels=labels, next=rows[-1].id if len(rows) == limit else None)


@router.get("/v1/labels/sources", **_documented())
async def read_sources(request: Request, _: Reader) -> list[SourceAnswer]:
    """List who may say what an event turned out to be, and how often they did."""
    async with _runtime(request).actions.connection() as connection:
        counts = await counts_by_source(connection)
    return [SourceAnswer.of(source, counts) for source in shipped_sources().values()]


@router.get("/v1/labels/of", **_documented("rows_invalid"))
async def read_history(
    request: Request,
    _: Reader,
    event_id: Annotated[Id | None, Query(description="Give it or `event_tag`.")] = None,
    event_tag: EventTag | None = None,
) -> HistoryAnswer:
    """Return what is known of one event, and what was said of it before."""
    runtime = _runtime(request)
    if (event_id is None) == (event_tag is None):
        text = "Give either `event_id` or `event_tag`."
        refuse_rows([{"pointer": "query:event_id", "code": "invalid_value", "detail": text}])
    tag = event_tag or runtime.brain.tagger.tag("event", event_id or "")
    async with runtime.actions.connection() as connection:
        rows = await history_of(connection, tag)
        known = (await known_labels(connection, [tag], utc_now())).get(tag)
    return HistoryAnswer(
        event_tag=tag,
        label=None if known is None else "abusive" if known.label else "honest",
        source=None if known is None else known.source,
        known_at=None if known is None else known.known_at,
        history=[LabelAnswer.of(row) for row in rows],
    )


@router.get("/v1/labels/export", response_class=StreamingResponse, **_documented())
async def export_csv(
    request: Request,
    _: Reader,
    as_of: Annotated[Moment | None, Query(description="What was known then. Absent: now.")] = None,
) -> Response:
    """Return the label that counts of each event, as CSV for training; events by their tags."""
    return StreamingResponse(
        _exported(_runtime(request), as_of or utc_now()),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="labels.csv"'},
    )


async def _add(
    request: Request,
    caller: Caller,
    kind: str,
    stated: Sequence[StatedLabel],
    pointers: Sequence[str],
) -> KeptAnswer:
    if not stated:
        refuse_rows([problem(None, "*", "There is no row.")])
    batch = uuid4()
    sources = Counter(label.source for label in stated)
    what = {"batch": str(batch), "sources": dict(sources), "labels": await _digest(stated)}
    async with _runtime(request).actions.action(kind, caller.who, **what) as action:
        kept, problems = await keep_labels(
            action.connection, stated, pointers, caller.actor, batch
        )  # fmt: skip
        refuse_rows(problems)
        action.what.update(kept._asdict())
    return KeptAnswer.of(batch, kept)


async def _digest(stated: Sequence[StatedLabel]) -> str:
    content = hashlib.sha256()
    async for label in in_turns(stated):
        content.update(orjson.dumps(list(label)) + b"\n")
    return content.hexdigest()


async def _exported(runtime: Runtime, as_of: datetime) -> AsyncIterator[str]:
    yield ",".join(EXPORTED) + "\r\n"
    async with runtime.actions.connection() as connection:
        after = ""
        while rows := await effective_labels(connection, as_of, after, EXPORT_PAGE):
            page = io.StringIO()
            writer = csv.writer(page)
            async for tag, label in in_turns(rows):
                writer.writerow(
                    [tag, WORDS[label.label], label.source, label.known_at.isoformat()]
                )  # fmt: skip
            yield page.getvalue()
            after = rows[-1][0]


def _runtime(request: Request) -> Runtime:
    runtime: Runtime = request.app.state.runtime
    return runtime
