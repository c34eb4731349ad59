"""What does the record say about somebody, and what does one entry say?

Invariants: whoever looks says why; that somebody looked is on record before the answer leaves; an
identifier comes in through a body, is tagged at once, and is neither kept nor logged.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from features.tags import Tagger
from service.access import Caller
from service.api import openapi
from service.api.audit_search_models import (
    EntryFound,
    EntryRevealed,
    PurposeBody,
    SearchAnswer,
    SearchBody,
)
from service.api.authorized import allowed
from service.api.bounded import BoundedRoute
from service.audit.opened_entries import EntryOpener
from service.audit.reveal import entry_id_of, revealed
from service.audit.search import EVENT, Question, question_times, search
from service.csv_rows import refuse_rows
from service.lists.entries import BadEntry, reason_problems, stated_entity
from service.runtime import Runtime

router = APIRouter(tags=["audit"], route_class=BoundedRoute)

Reader = Annotated[Caller, Depends(allowed("audit:read", person=True))]
Revealer = Annotated[Caller, Depends(allowed("audit:reveal", person=True))]
ID_PROBLEMS = ("unknown_entry", "entry_erased", "entry_restricted")
MOST_EVENT_ID = 200


def documented(*more: str) -> dict[str, Any]:
    """Return what OpenAPI says of a route of this kind that takes a body."""
    return {
        "responses": openapi.problems(*openapi.ADMIN_PROBLEMS, *openapi.BODY_PROBLEMS, *more),
        "openapi_extra": {"security": [{"api_key": []}]},
    }


@router.post("/v1/audit/search", **documented("rows_invalid", "search_too_wide"))
async def search_entries(request: Request, caller: Reader, body: SearchBody) -> SearchAnswer:
    """Find entries about somebody, or of a time. Equal values only; a search is itself recorded."""
    runtime = runtime_of(request)
    tag = _tag(body, runtime.brain.tagger)
    refuse_rows(purpose_problems(body.purpose, body.value))
    since, until = question_times(body.since, body.until)
    question = Question(
        since=since,
        until=until,
        kind=body.kind,
        tag=tag,
        types=_some(body.types),
        event_types=_some(body.event_types),
        outcomes=_some(body.outcomes),
        limit=body.limit,
    )
    who = {**caller.who, "purpose": body.purpose}
    asked = {
        "kind": body.kind, "since": since, "until": until, "types": body.types,
        "event_types": body.event_types, "outcomes": body.outcomes,
    }  # fmt: skip
    what = {name: value for name, value in asked.items() if value is not None}
    async with runtime.actions.action("audit.search", who, **what) as action:
        index = runtime.rights.parts.terms
        found = await search(action.connection, opener_of(runtime), index, question)
        action.what |= {"found": len(found.entries), "is_cut": found.is_cut}
    return SearchAnswer(
        entries=[EntryFound.of(entry) for entry in found.entries], is_cut=found.is_cut
    )


@router.post("/v1/audit/entries/{entry_id}/reveal", **documented(*ID_PROBLEMS, "rows_invalid"))
async def reveal_entry(
    request: Request, caller: Revealer, entry_id: str, body: PurposeBody
) -> EntryRevealed:
    """Open one entry: what was known of the person, who did it and why. It is recorded."""
    runtime, wanted = runtime_of(request), entry_id_of(entry_id)
    refuse_rows(purpose_problems(body.purpose))
    who = {**caller.who, "purpose": body.purpose}
    async with runtime.actions.action("audit.reveal", who, entry=wanted.hex()) as action:
        entry = await revealed(action.connection, opener_of(runtime), wanted)
    return EntryRevealed.of(entry)


def runtime_of(request: Request) -> Runtime:
    """Return what the service holds."""
    runtime: Runtime = request.app.state.runtime
    return runtime


def opener_of(runtime: Runtime) -> EntryOpener:
    """Return what opens the entries of this service's log."""
    return EntryOpener(runtime.rights.parts.ring, runtime.settings.ledger.log_name)


def purpose_problems(purpose: str, value: object = None) -> list[dict[str, str]]:
    """Return what is wrong with a purpose: it must not repeat what is searched for."""
    return [
        {"pointer": "/purpose", "code": "invalid_value", "detail": text.replace("A reason", "It")}
        for text in reason_problems(purpose, value)
    ]


def _tag(body: SearchBody, tagger: Tagger) -> str | None:
    if body.kind is None:
        return None
    if body.kind == EVENT and body.tag is None:
        value = body.value
        if not isinstance(value, str) or not 0 < len(value) <= MOST_EVENT_ID:
            _refuse_value("Give the event's id.")
        return tagger.tag("event", str(value))
    cells = {"kind": "user" if body.kind == EVENT else body.kind, "tag": body.tag}
    try:
        return stated_entity({**cells, "value": body.value}, tagger).tag
    except BadEntry as error:
        for place, text in error.wrong:
            _refuse_value(text, place)
        raise


def _refuse_value(text: str, place: str = "value") -> None:
    refuse_rows([{"pointer": f"/{place}", "code": "invalid_value", "detail": text}])


def _some(values: list[Any] | None) -> tuple[Any, ...] | None:
    return None if values is None else tuple(values)
