"""What has the log signed, with which keys, and who outside has seen it?

Notes leave as they were signed, byte for byte, so that tools of others read them. Nothing here is
secret from whoever may read the audit; what comes in is believed only with a witness's signature.
"""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import PlainTextResponse, Response

from service.access import Caller
from service.api import openapi
from service.api.authorized import allowed
from service.api.bounded import BoundedRoute
from service.errors import Refused
from service.ledger.note import MAX_NOTE_CHARS
from service.runtime import Runtime
from service.signer.cosigning import latest_note, take_cosignatures, with_cosignatures
from service.texts import NO_NUL

router = APIRouter(tags=["audit"], route_class=BoundedRoute)

Reader = Annotated[Caller, Depends(allowed("audit:read", person=True))]
PAGE = 200

_PAGE_QUERY = """
SELECT id, origin, size, root, note, signed_at FROM ledger_checkpoint
WHERE id < $1 ORDER BY id DESC LIMIT $2
"""
_WITNESSES = """
SELECT checkpoint_id, witness FROM ledger_cosignature WHERE checkpoint_id = ANY($1::bigint[])
ORDER BY witness
"""
_KEYS = "SELECT vkey, statement, added_at FROM ledger_signer_key ORDER BY position"
_EXAMPLE = (
    "touchstone\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "\u2014 touchstone Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5…\n"
)


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CheckpointAnswer(_Answer):
    """One signed checkpoint; `note` is what was signed, with the lines of witnesses."""

    id: int
    origin: str
    size: int = Field(description="Entries that it covers.")
    root: str = Field(description="Root of the tree, base64.")
    signed_at: datetime
    witnesses: list[str] = Field(description="Who outside has cosigned it.")
    note: str


class SigningKeyAnswer(_Answer):
    """One key of the log; `statement` is the note by which the key before hands over."""

    vkey: str
    statement: str | None
    added_at: datetime


class SigningKeysAnswer(_Answer):
    """The keys of the log, the first one first, and the witnesses that are known here."""

    keys: list[SigningKeyAnswer]
    witnesses: list[str]


class CosignatureBody(_Answer):
    """A checkpoint with signatures of witnesses, as a signed note."""

    note: str = Field(max_length=MAX_NOTE_CHARS, pattern=NO_NUL, examples=[_EXAMPLE])


class CosignedAnswer(_Answer):
    """What was taken."""

    origin: str
    size: int
    witnesses: list[str]


class NoCheckpoint(Refused):
    """Nothing was signed yet."""

    code = "no_checkpoint"


def _documented(*more: str, **extra: Any) -> dict[str, Any]:
    return {
        "responses": {
            **openapi.problems(*openapi.ADMIN_PROBLEMS, *openapi.BODY_PROBLEMS, *more),
            **extra,
        },
        "openapi_extra": {"security": [{"api_key": []}]},
    }


_NOTE: dict[int | str, Any] = {
    "description": "A signed note (c2sp.org/tlog-checkpoint).",
    "content": {"text/plain": {"schema": {"type": "string"}, "example": _EXAMPLE}},
}


@router.get(
    "/v1/audit/checkpoints/latest",
    response_class=PlainTextResponse,
    **_documented("no_checkpoint", **{"200": _NOTE}),
)
async def read_latest(request: Request, _: Reader) -> Response:
    """Return the last checkpoint as a signed note, with the lines of its witnesses."""
    async with _runtime(request).actions.connection() as connection:
        note = await latest_note(connection)
    if note is None:
        raise NoCheckpoint
    return PlainTextResponse(note)


@router.get("/v1/audit/checkpoints", **_documented())
async def read_checkpoints(
    request: Request,
    _: Reader,
    before: Annotated[int, Query(ge=1, lt=2**63, description="Only those with a smaller id.")] = 2
    ** 63
    - 1,
    limit: Annotated[int, Query(ge=1, le=PAGE)] = 50,
) -> list[CheckpointAnswer]:
    """List checkpoints, the last one first, page by page."""
    async with _runtime(request).actions.connection() as connection:
        rows = await connection.fetch(_PAGE_QUERY, before, limit)
        names: dict[int, list[str]] = {row["id"]: [] for row in rows}
        for row in await connection.fetch(_WITNESSES, list(names)):
            names[row["checkpoint_id"]].append(row["witness"])
        return [
            CheckpointAnswer(
                id=row["id"],
                origin=row["origin"],
                size=row["size"],
                root=base64.b64encode(row["root"]).decode(),
                signed_at=row["signed_at"],
                witnesses=names[row["id"]],
                note=await with_cosignatures(connection, row["id"], row["note"])
                if names[row["id"]]
                else row["note"],
            )
            for row in rows
        ]


@router.get("/v1/audit/keys", **_documented())
async def read_keys(request: Request, _: Reader) -> SigningKeysAnswer:
    """Return the public keys that sign, with the statements by which each follows the one before.

    Whoever checks the log has the first key from elsewhere: compare it with the one here.
    """
    runtime = _runtime(request)
    async with runtime.actions.connection() as connection:
        rows = await connection.fetch(_KEYS)
    return SigningKeysAnswer(
        keys=[SigningKeyAnswer(**dict(row)) for row in rows],
        witnesses=list(runtime.settings.ledger.witnesses),
    )


@router.post(
    "/v1/audit/cosignatures",
    **_documented("unknown_checkpoint", "unknown_witness", "cosignature_invalid"),
)
async def cosign(request: Request, caller: Reader, body: CosignatureBody) -> CosignedAnswer:
    """Take the signatures of known witnesses on one of our checkpoints."""
    runtime = _runtime(request)
    async with runtime.actions.action("checkpoint.cosign", caller.who) as action:
        cosigned = await take_cosignatures(
            action.connection, body.note, runtime.settings.ledger.witnesses
        )
        action.what |= {
            "origin": cosigned.checkpoint.origin,
            "size": cosigned.checkpoint.size,
            "witnesses": list(cosigned.witnesses),
        }
    return CosignedAnswer(
        origin=cosigned.checkpoint.origin,
        size=cosigned.checkpoint.size,
        witnesses=list(cosigned.witnesses),
    )


def _runtime(request: Request) -> Runtime:
    runtime: Runtime = request.app.state.runtime
    return runtime
