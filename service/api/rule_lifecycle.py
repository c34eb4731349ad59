"""How does a version come live, and how is it taken back?

Submitted by one person, approved by another, then activated, rolled out or watched. Every call is
an action: recorded in the ledger together with its effect, or not at all. The database decides what
is allowed (`service/migrations/0004_rule_sets.sql`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request

from service.access import Caller
from service.api.authorized import allowed
from service.api.bounded import BoundedRoute
from service.api.rule_lifecycle_models import (
    ApprovalAnswer,
    DecideBody,
    DeploymentAnswer,
    NoteBody,
    RejectBody,
    RejectionAnswer,
    ShareBody,
    SubmissionAnswer,
    SubmitBody,
)
from service.api.rule_sets import (
    Reader,
    Version,
    Writer,
    documented,
    runtime_of,
    submission_answer,
    version_of,
)
from service.rule_sets import deploying
from service.rule_sets.approval import approve, open_submission, reject, submit
from service.rule_sets.deploying import Deploying
from service.rule_sets.drafts import allow_difference
from service.rule_sets.errors import UnknownBacktest
from service.rule_sets.status import status_of
from service.rule_sets.store import Deployment, deployed, deployment_of, read_files

router = APIRouter(tags=["rule sets"], route_class=BoundedRoute)

Approver = Annotated[Caller, Depends(allowed("rules:approve", person=True))]
Activator = Annotated[Caller, Depends(allowed("rules:activate", person=True))]
_APPROVAL = ("unknown_rule_set", "evidence_missing", "approval_lapsed", "own_work")
_DEPLOYMENT = ("unknown_rule_set", "approval_lapsed", "evidence_missing")
# What acts on a rule set changes: (connection, version, by) -> what runs then.
Act = Callable[[Any, str, Deploying], Awaitable[Deployment]]


@router.get("/v1/deployments", **documented())
async def list_deployments(
    request: Request, _: Reader, limit: Annotated[int, Query(ge=1, le=200)] = 50
) -> list[DeploymentAnswer]:
    """List what ran, newest first: the first is what runs."""
    async with runtime_of(request).actions.connection() as connection:
        rows = await connection.fetch(
            "SELECT * FROM deployment ORDER BY revision DESC LIMIT $1", limit
        )
    return [DeploymentAnswer.of(deployment_of(row)) for row in rows]


@router.post(
    "/v1/rule-sets/{version}/submit",
    status_code=201,
    **documented("unknown_rule_set", "evidence_missing", "approval_lapsed", "unknown_backtest"),
)
async def submit_rule_set(
    request: Request, caller: Writer, version: Version, body: SubmitBody
) -> SubmissionAnswer:
    """Ask for approval, with the newest passed check and a finished backtest against what is live.

    Somebody else approves: neither who submits nor anybody who wrote some of what it changes.
    """
    runtime = runtime_of(request)
    async with runtime.actions.connection() as connection:
        found = await version_of(connection, version)
        status = await status_of(connection, runtime.examiner, found)
    who = {**caller.who, "note": body.note}
    async with runtime.actions.action("rules.submit", who, version=found) as action:
        row = await submit(
            action.connection,
            found,
            catalog=status.catalog,
            actor=caller.actor,
            note=body.note,
            backtest_id=_uuid(body.backtest),
        )
        action.versions = {"rule_set": found, "catalog": status.catalog}
        action.what |= _evidence(row) | {"submission": row["id"]}
    return submission_answer(row)


@router.post(
    "/v1/rule-sets/{version}/approve",
    status_code=201,
    **documented(*_APPROVAL, "outside_limits", "not_examined", "rule_set_invalid"),
)
async def approve_rule_set(
    request: Request, caller: Approver, version: Version, body: DecideBody
) -> ApprovalAnswer:
    """Approve what somebody else wrote and submitted.

    The approval is bound to these files, this check, this backtest and what is live. It lapses when
    something else becomes live, when the catalog changes, when a later check fails, and when a
    rollout of the version is aborted.
    """
    runtime = runtime_of(request)
    async with runtime.actions.connection() as connection:
        found = await version_of(connection, version)
        submission = await open_submission(connection, found)
        if submission is not None and not caller.limits.is_everything:
            old = await read_files(connection, submission["baseline"])
            new = await read_files(connection, found)
            allow_difference(caller.limits, await runtime.examiner.compare(old, new))
    who = {**caller.who, "note": body.note}
    async with runtime.actions.action("rules.approve", who, version=found) as action:
        row = await approve(
            action.connection,
            found,
            actor=caller.actor,
            note=body.note,
            submission_id=body.submission or (submission or {}).get("id"),
        )
        action.versions = {"rule_set": found}
        action.what |= _evidence(row) | {
            "approval": row["id"],
            "submission": row["submission_id"],
            "live_since": row["live_since"],
        }
    return ApprovalAnswer.model_validate({**row, "backtest_id": str(row["backtest_id"])})


@router.post("/v1/rule-sets/{version}/reject", status_code=201, **documented("unknown_rule_set"))
async def reject_rule_set(
    request: Request, caller: Approver, version: Version, body: RejectBody
) -> RejectionAnswer:
    """Say no to what was submitted, with the reason."""
    runtime = runtime_of(request)
    async with runtime.actions.connection() as connection:
        found = await version_of(connection, version)
    who = {**caller.who, "note": body.note}
    async with runtime.actions.action("rules.reject", who, version=found) as action:
        row = await reject(
            action.connection,
            found,
            actor=caller.actor,
            note=body.note,
            submission_id=body.submission,
        )
        action.versions = {"rule_set": found}
        action.what["submission"] = row["submission_id"]
    return RejectionAnswer.model_validate(row)


@router.post("/v1/rule-sets/{version}/activate", status_code=201, **documented(*_DEPLOYMENT))
async def activate_rule_set(
    request: Request, caller: Activator, version: Version, body: NoteBody
) -> DeploymentAnswer:
    """Put an approved version live: all workers decide by it within a second."""
    return await _deployed(request, caller, version, deploying.activate, "activate", body.note)


@router.post("/v1/rule-sets/{version}/rollback", status_code=201, **documented(*_DEPLOYMENT))
async def roll_back(
    request: Request, caller: Activator, version: Version, body: NoteBody
) -> DeploymentAnswer:
    """Put a version live again that was live before, `previous` for the last; needs no approval."""
    return await _deployed(request, caller, version, deploying.rollback, "rollback", body.note)


@router.post("/v1/rule-sets/{version}/rollout", status_code=201, **documented(*_DEPLOYMENT))
async def roll_out_rule_set(
    request: Request, caller: Activator, version: Version, body: ShareBody
) -> DeploymentAnswer:
    """Let an approved version decide for a stable share of the subjects."""
    act = _with_share(deploying.roll_out, body.share_percent)
    return await _deployed(request, caller, version, act, "rollout", body.note)


@router.post("/v1/rule-sets/{version}/ramp", status_code=201, **documented(*_DEPLOYMENT))
async def ramp_rule_set(
    request: Request, caller: Activator, version: Version, body: ShareBody
) -> DeploymentAnswer:
    """Change the share of a rollout; who is in stays in as it grows."""
    act = _with_share(deploying.ramp, body.share_percent)
    return await _deployed(request, caller, version, act, "ramp", body.note)


@router.post("/v1/rule-sets/{version}/abort", status_code=201, **documented(*_DEPLOYMENT))
async def abort_rollout(
    request: Request, caller: Activator, version: Version, body: NoteBody
) -> DeploymentAnswer:
    """End a rollout: the live version decides for everybody; the approval lapses."""
    return await _deployed(request, caller, version, deploying.abort, "abort", body.note)


@router.post("/v1/rule-sets/{version}/shadow", status_code=201, **documented(*_DEPLOYMENT))
async def shadow_rule_set(
    request: Request, caller: Writer, version: Version, body: NoteBody
) -> DeploymentAnswer:
    """Let a version watch live traffic: it decides nothing, what it would decide is counted."""
    return await _deployed(request, caller, version, deploying.shadow, "shadow", body.note)


@router.post("/v1/rule-sets/{version}/unshadow", status_code=201, **documented(*_DEPLOYMENT))
async def unshadow_rule_set(
    request: Request, caller: Writer, version: Version, body: NoteBody
) -> DeploymentAnswer:
    """Let a version watch no more."""
    return await _deployed(request, caller, version, deploying.unshadow, "unshadow", body.note)


async def _deployed(
    request: Request, caller: Caller, version: str, act: Act, name: str, note: str
) -> DeploymentAnswer:
    runtime = runtime_of(request)
    async with runtime.actions.connection() as connection:
        found = await version_of(connection, version)
        status = await status_of(connection, runtime.examiner, found)
    who = {**caller.who, "note": note}
    async with runtime.actions.action(f"rules.{name}", who, version=found) as action:
        was = await deployed(action.connection)
        by = Deploying(caller.actor, note, status.catalog)
        then = await act(action.connection, found, by)
        action.versions = {"rule_set": then.live, "catalog": status.catalog}
        action.what |= {
            "revision": then.revision,
            "before": was.live,
            "live": then.live,
            "candidate": then.candidate,
            "share_bp": then.candidate_share_bp,
            "shadows": list(then.shadows),
            "approval": then.approval_id,
        }
    return DeploymentAnswer.of(then)


def _with_share(
    act: Callable[[Any, str, int, Deploying], Awaitable[Deployment]], share_percent: float
) -> Act:
    share_bp = round(share_percent * deploying.SHARES / 100)

    async def acted(connection: Any, version: str, by: Deploying) -> Deployment:
        return await act(connection, version, share_bp, by)

    return acted


def _evidence(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "baseline": row["baseline"],
        "check": row["check_id"],
        "backtest": str(row["backtest_id"]),
    }


def _uuid(text: str | None) -> UUID | None:
    try:
        return None if text is None else UUID(text)
    except ValueError:
        raise UnknownBacktest("This is no id of a backtest.") from None
