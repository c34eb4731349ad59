"""Who may do what, and who decides on it? People, roles, requests for roles, and keys.

Every change is an action: recorded in the ledger, together with its effect or not at all. Nobody
decides on what they asked for or on what concerns themselves; the database sees to it.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request

from service.access import Caller
from service.api import openapi
from service.api.authorized import allowed, known
from service.api.bounded import BoundedRoute
from service.api.people_models import (
    DecisionName,
    KeyAnswer,
    LimitsAnswer,
    MeAnswer,
    PersonAnswer,
    RoleAnswer,
    RoleRequestAnswer,
    RoleRequestBody,
)
from service.api_key import list_keys, revoke_key
from service.people.people import list_people
from service.people.requests import Decision, decide, request_roles, role_request, role_requests
from service.people.roles import ROLES
from service.runtime import Runtime

router = APIRouter(tags=["people"], route_class=BoundedRoute)

AnyCaller = Annotated[Caller, Depends(known)]
Reader = Annotated[Caller, Depends(allowed("people:read"))]
Admin = Annotated[Caller, Depends(allowed("people:write", person=True))]
RequestId = Annotated[int, Path(ge=1, lt=2**63)]
KeyId = Annotated[str, Path(pattern="^[a-z0-9]{1,64}$")]

_DECISIONS: dict[DecisionName, Decision] = {
    "approve": "approved",
    "refuse": "refused",
    "withdraw": "withdrawn",
}


def _documented(*more: str) -> dict[str, Any]:
    return {
        "responses": openapi.problems(*openapi.ADMIN_PROBLEMS, *openapi.BODY_PROBLEMS, *more),
        "openapi_extra": {"security": [{"api_key": []}]},
    }


@router.get("/v1/me", **_documented())
async def read_me(caller: AnyCaller) -> MeAnswer:
    """Say whose key this is, and what it may do at the moment."""
    return MeAnswer(
        actor=caller.actor,
        person=caller.person,
        key_id=caller.key_id,
        roles=list(caller.roles),
        scopes=sorted(caller.scopes),
        limits=LimitsAnswer.of(caller.limits),
    )


@router.get("/v1/roles", **_documented())
async def read_roles(_: AnyCaller) -> list[RoleAnswer]:
    """List the roles and what each allows."""
    return [
        RoleAnswer(name=name, scopes=sorted(role.scopes), description=dict(role.description))
        for name, role in ROLES.items()
    ]


@router.get("/v1/people", **_documented())
async def read_people(request: Request, _: Reader) -> list[PersonAnswer]:
    """List everybody with the roles and limits that are in force."""
    async with _runtime(request).actions.connection() as connection:
        return [PersonAnswer.of(person) for person in await list_people(connection)]


@router.get("/v1/role-requests", **_documented())
async def read_role_requests(
    request: Request,
    _: Reader,
    is_open: Annotated[
        bool, Query(alias="open", description="Only those that wait for a decision.")
    ] = False,
) -> list[RoleRequestAnswer]:
    """List the newest 200 requests for roles, newest first."""
    async with _runtime(request).actions.connection() as connection:
        found = await role_requests(connection, only_open=is_open)
    return [RoleRequestAnswer.of(item) for item in found]


@router.post("/v1/role-requests", status_code=201, **_documented("not_an_admin"))
async def ask_for_roles(
    request: Request, caller: Admin, body: RoleRequestBody
) -> RoleRequestAnswer:
    """Ask for all roles and limits that a person shall have; another admin decides.

    A person who is not there yet is made, and may do nothing before the approval.
    """
    limits = body.limits.limits()
    who = {**caller.who, "person": body.person, "reason": body.reason}
    async with _runtime(request).actions.action("roles.request", who) as action:
        number = await request_roles(
            action.connection,
            person=body.person,
            roles=body.roles,
            reason=body.reason,
            actor=caller.actor,
            limits=limits,
        )
        asked = await role_request(action.connection, number)
        action.what |= {"request": number, "roles": asked.roles, "limits": limits.lists()}
    return RoleRequestAnswer.of(asked)


@router.post(
    "/v1/role-requests/{request_id}/{decision}",
    **_documented(
        "not_an_admin",
        "own_role_request",
        "role_request_decided",
        "role_request_lapsed",
        "too_few_admins",
        "unknown_role_request",
    ),
)
async def decide_on_roles(
    request: Request, caller: Admin, request_id: RequestId, decision: DecisionName
) -> RoleRequestAnswer:
    """Approve or refuse what another admin asked for, or withdraw what you asked for yourself.

    Approved roles are in force within two seconds.
    """
    runtime = _runtime(request)
    async with runtime.actions.action(
        f"roles.{decision}", caller.who, request=request_id
    ) as action:
        decided = await decide(action.connection, request_id, _DECISIONS[decision], caller.actor)
        action.who["person"] = decided.person
        action.what |= {"roles": decided.roles, "limits": decided.limits.lists()}
    return RoleRequestAnswer.of(decided)


@router.get("/v1/keys", **_documented())
async def read_keys(request: Request, _: Reader) -> list[KeyAnswer]:
    """List all API keys, oldest first, revoked ones too; never a key itself."""
    async with _runtime(request).actions.connection() as connection:
        return [KeyAnswer.of(key) for key in await list_keys(connection)]


@router.post("/v1/keys/{key_id}/revoke", status_code=204, **_documented("unknown_key"))
async def revoke(request: Request, caller: Admin, key_id: KeyId) -> None:
    """Revoke an API key for good; one admin is enough, and it works within two seconds.

    A new key is made on the machine of the service: `touchstone keys create`.
    """
    async with _runtime(request).actions.action("keys.revoke", caller.who) as action:
        await revoke_key(action.connection, key_id)
        action.what["key"] = key_id


def _runtime(request: Request) -> Runtime:
    runtime: Runtime = request.app.state.runtime
    return runtime
