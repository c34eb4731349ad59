"""How does a person get their rights? Restriction, erasure, and what is held about them.

One of compliance asks, another decides. Invariants: identifiers come in through bodies, are tagged
at once and are neither kept nor logged; whatever is read or decided is on record before it has an
effect.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response, StreamingResponse

from service.access import Caller
from service.api import openapi
from service.api.audit_rights_models import (
    AskedAnswer,
    DecisionBody,
    PersonBody,
    RightsRequestAnswer,
    SubjectExportBody,
)
from service.api.audit_search import purpose_problems
from service.api.authorized import allowed
from service.api.bounded import BoundedRoute
from service.api.lists_models import EntityBody
from service.audit.opened_entries import EntryOpener
from service.csv_rows import Problems, refuse_rows
from service.lists.entries import BadEntry, stated_entity
from service.rights.access import Access, Part, Stores
from service.rights.errors import SubjectRestricted
from service.rights.mentions import mentions
from service.rights.page import as_html, as_json
from service.rights.requests import (
    Kind,
    RightsRequest,
    ask,
    begin_erasure,
    decide,
    rights_request,
    rights_requests,
)
from service.rights.restrictions import restricted_tags
from service.runtime import Runtime

router = APIRouter(tags=["audit"], route_class=BoundedRoute)

Eraser = Annotated[Caller, Depends(allowed("audit:erase", person=True))]
Revealer = Annotated[Caller, Depends(allowed("audit:reveal", person=True))]
RequestId = Annotated[int, Path(ge=1, lt=2**63)]
# Of a person; campaigns and merchants are nobody's.
# Counted for the answer; an address that a whole town shares is in more.
MOST_MENTIONS = 1_000
KINDS = ("user", "email", "phone", "device", "payment_instrument", "shipping_address", "ip")
_DECIDING = (
    "unknown_rights_request", "own_rights_request", "rights_request_decided", "not_compliance",
    "rows_invalid",
)  # fmt: skip


def _documented(*more: str, **extra: Any) -> dict[str, Any]:
    return {
        "responses": openapi.problems(*openapi.ADMIN_PROBLEMS, *more),
        "openapi_extra": {"security": [{"api_key": []}]},
        **extra,
    }


@router.post(
    "/v1/audit/erasures",
    **_documented(*openapi.BODY_PROBLEMS, "rows_invalid", "not_compliance", status_code=201),
)
async def ask_for_erasure(request: Request, caller: Eraser, body: PersonBody) -> AskedAnswer:
    """Ask for a person to be erased; from here on nobody reads their entries."""
    return await _asked(request, caller, body, "erase", "subject.erase_request")


@router.post(
    "/v1/audit/restrictions",
    **_documented(*openapi.BODY_PROBLEMS, "rows_invalid", "not_compliance", status_code=201),
)
async def restrict(request: Request, caller: Eraser, body: PersonBody) -> AskedAnswer:
    """Let nobody read a person's entries until somebody else lifts it."""
    return await _asked(request, caller, body, "restrict", "subject.restrict")


@router.get("/v1/audit/rights-requests", **_documented())
async def read_requests(
    request: Request, _: Eraser, *, only_open: Annotated[bool, Query()] = False
) -> list[RightsRequestAnswer]:
    """List the newest requests, newest first."""
    async with _runtime(request).actions.connection() as connection:
        found = await rights_requests(connection, only_open=only_open)
    return [RightsRequestAnswer.of(one) for one in found]


@router.get("/v1/audit/rights-requests/{request_id}", **_documented("unknown_rights_request"))
async def read_request(request: Request, _: Eraser, request_id: RequestId) -> RightsRequestAnswer:
    """Tell what is asked for and why, or what became of it."""
    runtime = _runtime(request)
    async with runtime.actions.connection() as connection:
        found = await rights_request(connection, request_id)
        return RightsRequestAnswer.of(found, await _purpose(runtime, connection, found))


@router.post(
    "/v1/audit/rights-requests/{request_id}/execute",
    **_documented(
        *openapi.BODY_PROBLEMS, *_DECIDING, "erasure_incomplete", status_code=202
    ),
)  # fmt: skip
async def execute(
    request: Request, caller: Eraser, request_id: RequestId, body: DecisionBody
) -> RightsRequestAnswer:
    """Erase the person whom somebody else asked to erase. It cannot be undone."""
    runtime = _runtime(request)
    refuse_rows(purpose_problems(body.purpose))
    who = {**caller.who, "purpose": body.purpose}
    what = {"request": request_id, "step": "begun"}
    async with runtime.actions.action("subject.erase", who, **what) as action:
        parts = runtime.rights.parts
        found, keys = await begin_erasure(
            action.connection, request_id, caller.actor, parts.digests, parts.file
        )
        action.what["keys"] = keys
    return RightsRequestAnswer.of(found)


@router.post(
    "/v1/audit/rights-requests/{request_id}/refuse",
    **_documented(*openapi.BODY_PROBLEMS, *_DECIDING),
)
async def refuse(
    request: Request, caller: Eraser, request_id: RequestId, body: DecisionBody
) -> RightsRequestAnswer:
    """Refuse an erasure that somebody else asked for; the entries may be read again."""
    return await _decided(request, caller, request_id, body, ("subject.refuse", "refused"))


@router.post(
    "/v1/audit/rights-requests/{request_id}/lift",
    **_documented(*openapi.BODY_PROBLEMS, *_DECIDING),
)
async def lift(
    request: Request, caller: Eraser, request_id: RequestId, body: DecisionBody
) -> RightsRequestAnswer:
    """Lift a restriction that somebody else asked for; the entries may be read again."""
    return await _decided(request, caller, request_id, body, ("subject.lift", "lifted"))


@router.post(
    "/v1/audit/subjects/export",
    response_class=StreamingResponse,
    **_documented(*openapi.BODY_PROBLEMS, "rows_invalid", "subject_restricted"),
)
async def export_subject(request: Request, caller: Revealer, body: SubjectExportBody) -> Response:
    """Give everything that is held about a person, as JSON or as a page for them."""
    runtime = _runtime(request)
    tags = _tags(runtime, body.identifiers, body.purpose)
    who = {**caller.who, "purpose": body.purpose}
    what: dict[str, Any] = {"identifiers": _kinds(tags), "format": body.format}
    async with runtime.actions.action("subject.export", who, **what) as action:
        restricted = not (await restricted_tags(action.connection)).isdisjoint(tags)
        if restricted and not body.despite_restriction:
            raise SubjectRestricted
        action.what["restricted"] = restricted
        action.what["entries"] = await _access(runtime, action.connection).count(tags)
    parts = _parts(runtime, tags)
    is_page = body.format == "html"
    return StreamingResponse(
        as_html(parts, body.language) if is_page else as_json(parts),
        media_type="text/html; charset=utf-8" if is_page else "application/json",
        headers={"Cache-Control": "no-store", "Content-Security-Policy": _CSP},
    )


# The page is of what shops and persons sent: nothing in it may run.
_CSP = "default-src 'none'; style-src 'unsafe-inline'"


async def _asked(
    request: Request, caller: Caller, body: PersonBody, kind: Kind, entry_type: str
) -> AskedAnswer:
    runtime = _runtime(request)
    tags = _tags(runtime, body.identifiers, body.purpose)
    who = {**caller.who, "purpose": body.purpose}
    async with runtime.actions.action(entry_type, who, identifiers=_kinds(tags)) as action:
        connection = action.connection
        found = await ask(connection, kind, tags, caller.actor, action.entry_id)
        held = await _access(runtime, connection).count(tags)
        mentioned = 0
        async for page in mentions(connection, runtime.rights.parts, tags):
            mentioned += len(page)
            if mentioned >= MOST_MENTIONS:
                break
        action.what |= {"request": found.id, "held_entries": held, "mentioned_in": mentioned}
    return AskedAnswer(
        **RightsRequestAnswer.of(found, body.purpose).model_dump(),
        held_entries=held,
        mentioned_in=mentioned,
    )


async def _decided(
    request: Request,
    caller: Caller,
    request_id: int,
    body: DecisionBody,
    outcome: tuple[str, Literal["refused", "lifted"]],
) -> RightsRequestAnswer:
    entry_type, state = outcome
    refuse_rows(purpose_problems(body.purpose))
    who = {**caller.who, "purpose": body.purpose}
    async with _runtime(request).actions.action(entry_type, who, request=request_id) as action:
        found = await decide(action.connection, request_id, state, caller.actor)
    return RightsRequestAnswer.of(found)


async def _purpose(runtime: Runtime, connection: Any, found: RightsRequest) -> str | None:
    """Return why it was asked for, from the sealed record."""
    opener = EntryOpener(runtime.rights.parts.ring, runtime.settings.ledger.log_name)
    for entry in await opener.entries(connection, [found.entry_id], ["staff"]):
        purpose = entry.blocks.get("staff", {}).get("purpose")
        return None if purpose is None else str(purpose)
    return None


async def _parts(runtime: Runtime, tags: Sequence[str]) -> AsyncIterator[Part]:
    async with runtime.actions.connection() as connection:
        async for part in _access(runtime, connection).parts(tags):
            yield part


def _access(runtime: Runtime, connection: Any) -> Access:
    settings = runtime.settings
    stores = Stores(
        runtime.valkey,
        runtime.brain.catalog,
        settings.has_profiles,
        settings.profiles.max_age_hours * 3600,
    )
    return Access(connection, runtime.rights.parts.ring, settings.ledger.log_name, stores)


def _tags(runtime: Runtime, identifiers: Sequence[EntityBody], purpose: str) -> list[str]:
    """Return the subject tags of a person; a purpose that names them is refused as they are."""
    tagger = runtime.brain.tagger
    tags: dict[str, None] = {}
    values = [row.value for row in identifiers] or [None]
    problems: Problems = list(
        {
            one["detail"]: one for value in values for one in purpose_problems(purpose, value)
        }.values()
    )
    for place, row in enumerate(identifiers):
        pointer = f"/identifiers/{place}"
        try:
            entity = stated_entity(row.model_dump(), tagger)
        except BadEntry as error:
            problems += [_at(f"{pointer}/{column}", text) for column, text in error.wrong]
            continue
        if entity.kind not in KINDS:
            problems.append(_at(f"{pointer}/kind", f"Of a person: {', '.join(KINDS)}."))
        tags[f"{entity.kind}:{entity.tag}"] = None
    refuse_rows(problems)
    return list(tags)


def _kinds(tags: Sequence[str]) -> list[str]:
    return sorted(tag.partition(":")[0] for tag in tags)


def _at(pointer: str, text: str) -> dict[str, str]:
    return {"pointer": pointer, "code": "invalid_value", "detail": text}


def _runtime(request: Request) -> Runtime:
    runtime: Runtime = request.app.state.runtime
    return runtime
