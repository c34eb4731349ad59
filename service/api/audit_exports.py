"""How does a part of the record leave the house? Exports: asked for, decided on, built, fetched.

One person asks, another decides, the first one fetches. Invariants: every step is on record before
it has an effect, a download before its first byte leaves; nobody is shown more than their role
allows at that moment.
"""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response, StreamingResponse

from service.access import Caller
from service.api import openapi
from service.api.audit_exports_models import ApprovalBody, ExportAnswer, ExportBody, RefusalBody
from service.api.audit_search import purpose_problems
from service.api.authorized import allowed
from service.api.bounded import BoundedRoute
from service.audit.exports.download import content, span_of
from service.audit.exports.errors import ExportNotAllowed, PackageNotHere
from service.audit.exports.jobs import cancel, check_room, ready_package, retry
from service.audit.exports.range import settled
from service.audit.exports.requests import (
    Decision,
    Export,
    decide,
    exports,
    read_export,
    request_export,
)
from service.audit.exports.store import PackageDamaged
from service.audit.package.request import ROLE_BLOCKS
from service.csv_rows import refuse_rows
from service.runtime import Runtime

router = APIRouter(tags=["audit"], route_class=BoundedRoute)

Reader = Annotated[Caller, Depends(allowed("audit:read", person=True))]
Person = Annotated[Caller, Depends(allowed("audit:export", person=True))]
_DECIDING = ("unknown_export", "own_export", "export_decided", "export_not_allowed")


def _documented(*more: str, **extra: Any) -> dict[str, Any]:
    return {
        "responses": openapi.problems(*openapi.ADMIN_PROBLEMS, *more),
        "openapi_extra": {"security": [{"api_key": []}]},
        **extra,
    }


@router.post(
    "/v1/audit/exports",
    **_documented(
        *openapi.BODY_PROBLEMS,
        "rows_invalid",
        "nothing_to_export",
        "export_not_allowed",
        status_code=201,
    ),
)
async def ask_for_export(request: Request, caller: Person, body: ExportBody) -> ExportAnswer:
    """Ask for a part of the record; somebody else decides on it."""
    refuse_rows(purpose_problems(body.purpose))
    async with _runtime(request).actions.action("export.request", caller.who) as action:
        wanted = await settled(
            action.connection,
            since=body.since,
            until=body.until,
            first=body.first,
            last=body.last,
            earlier=body.earlier,
        )
        export = await request_export(
            action.connection,
            wanted,
            blocks=body.blocks,
            types=body.types,
            purpose=body.purpose,
            actor=caller.actor,
        )
        action.who["purpose"] = export.purpose
        action.what |= _said(export)
    return ExportAnswer.of(export)


@router.get("/v1/audit/exports", **_documented())
async def read_exports(request: Request, _: Reader) -> list[ExportAnswer]:
    """List the newest exports, newest first."""
    async with _runtime(request).actions.connection() as connection:
        return [ExportAnswer.of(export) for export in await exports(connection)]


@router.get("/v1/audit/exports/{export_id}", **_documented("unknown_export"))
async def read_one_export(request: Request, _: Reader, export_id: UUID) -> ExportAnswer:
    """Tell how far an export is, or how it ended."""
    async with _runtime(request).actions.connection() as connection:
        return ExportAnswer.of(await read_export(connection, export_id))


@router.post(
    "/v1/audit/exports/{export_id}/approve",
    **_documented(
        *openapi.BODY_PROBLEMS, *_DECIDING, "wrong_export_state", "too_many_exports"
    ),
)  # fmt: skip
async def approve_export(
    request: Request, caller: Person, export_id: UUID, body: ApprovalBody
) -> ExportAnswer:
    """Approve what somebody else asked for; the package is built then."""
    return await _decided(request, caller, export_id, "approved", body.note)


@router.post(
    "/v1/audit/exports/{export_id}/refuse", **_documented(*openapi.BODY_PROBLEMS, *_DECIDING)
)
async def refuse_export(
    request: Request, caller: Person, export_id: UUID, body: RefusalBody
) -> ExportAnswer:
    """Refuse what somebody else asked for."""
    return await _decided(request, caller, export_id, "refused", body.reason)


@router.post(
    "/v1/audit/exports/{export_id}/cancel",
    **_documented(*_DECIDING, "wrong_export_state"),
)
async def cancel_export(request: Request, caller: Person, export_id: UUID) -> ExportAnswer:
    """Withdraw an own request, or take back a package: queued, being built or ready."""
    runtime = _runtime(request)
    async with runtime.actions.connection() as connection:
        export = await read_export(connection, export_id)
    if export.state == "requested":
        return await _decided(request, caller, export_id, "withdrawn", "")
    async with runtime.actions.action(
        "export.cancel", caller.who, export=str(export_id)
    ) as action:  # fmt: skip
        export = await read_export(action.connection, export_id)
        await cancel(action.connection, export, caller.actor)
        export = await read_export(action.connection, export_id)
    return ExportAnswer.of(export)


@router.post(
    "/v1/audit/exports/{export_id}/retry",
    **_documented(
        "unknown_export", "export_not_allowed", "wrong_export_state", "too_many_exports"
    ),
)  # fmt: skip
async def retry_export(request: Request, caller: Person, export_id: UUID) -> ExportAnswer:
    """Have a package built again whose building failed; what was approved stays the same."""
    async with _runtime(request).actions.action(
        "export.retry", caller.who, export=str(export_id)
    ) as action:
        export = await read_export(action.connection, export_id)
        await retry(action.connection, export, caller.actor)
        export = await read_export(action.connection, export_id)
    return ExportAnswer.of(export)


@router.get(
    "/v1/audit/exports/{export_id}/package",
    response_class=StreamingResponse,
    **_documented(
        "unknown_export", "export_not_allowed", "wrong_export_state", "package_not_here",
        "range_unsatisfiable",
    ),
)  # fmt: skip
async def fetch_package(request: Request, caller: Person, export_id: UUID) -> Response:
    """Return the package, a tar file. `Range` and `If-Range` let a broken download go on."""
    runtime = _runtime(request)
    what = {"export": str(export_id)}
    async with runtime.actions.action("export.download", caller.who, **what) as action:
        export = await read_export(action.connection, export_id)
        _check_reader(export, caller)
        package = await ready_package(action.connection, export_id, runtime.exports.node)
        store = runtime.exports.store_of(package)
        headers = request.headers
        span = span_of(package, headers.get("range"), headers.get("if-range"))
        stream = content(package, store, span)
        try:
            begin = next(stream)
        except PackageDamaged as error:
            raise PackageNotHere(str(error)) from None
        action.what |= {
            "first_byte": span.start,
            "bytes": span.stop - span.start,
            "of_bytes": span.size,
            "manifest_sha256": package.manifest.hex(),
        }

    def sent() -> Any:
        yield begin
        yield from stream

    found = {
        "ETag": package.etag,
        "Accept-Ranges": "bytes",
        "Content-Length": str(span.stop - span.start),
        "Content-Disposition": f'attachment; filename="touchstone-export-{export_id}.tar"',
        "Cache-Control": "no-store",
    }
    if span.is_part:
        found["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{span.size}"
    return StreamingResponse(
        sent(), 206 if span.is_part else 200, found, media_type="application/x-tar"
    )


async def _decided(
    request: Request, caller: Caller, export_id: UUID, decision: Decision, reason: str
) -> ExportAnswer:
    kind = "export.approve" if decision == "approved" else "export.refuse"
    async with _runtime(request).actions.action(kind, caller.who) as action:
        if decision == "approved":
            await check_room(action.connection)
        export = await decide(action.connection, export_id, decision, caller.actor, reason)
        action.who |= {"reason": reason, "requested_by": export.requested_by}
        action.what |= {**_said(export), "decision": decision}
    return ExportAnswer.of(export)


def _check_reader(export: Export, caller: Caller) -> None:
    """Raise `ExportNotAllowed` unless the caller asked for it and may see what it discloses."""
    if caller.actor != export.requested_by:
        raise ExportNotAllowed("Only who asked for an export can fetch it.")
    sees = {block for role in caller.roles for block in ROLE_BLOCKS.get(role, ())}
    if not sees.issuperset(export.blocks):
        raise ExportNotAllowed("No role of yours allows to see what it discloses any more.")


def _said(export: Export) -> dict[str, Any]:
    """Return what the record says of an export: counts and ids only."""
    return {
        "export": str(export.id),
        "first": export.first,
        "last": export.last,
        "blocks": export.blocks,
        "types": export.types,
    }


def _runtime(request: Request) -> Runtime:
    runtime: Runtime = request.app.state.runtime
    return runtime
