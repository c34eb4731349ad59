"""How does somebody outside see that an entry, or an older tree, is part of what was signed?

Proofs show headers and hashes only, never a block's content. Invariant: what leaves here has to be
verified by whoever gets it (`touchstone ledger verify --proof`); nothing asks to be believed.
"""

from __future__ import annotations

import base64
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from service.access import Caller
from service.api import openapi
from service.api.authorized import allowed
from service.api.bounded import BoundedRoute
from service.audit.errors import UnknownEntry
from service.audit.reveal import entry_id_of
from service.ledger.proof import prove
from service.ledger.tree.hashes import MAX_SIZE
from service.ledger.tree.stored import StoredTree
from service.runtime import Runtime

router = APIRouter(tags=["audit"], route_class=BoundedRoute)

Reader = Annotated[Caller, Depends(allowed("audit:read", person=True))]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ProofAnswer(_Answer):
    """That an entry is in the signed tree, as `touchstone ledger verify --proof` takes it."""

    format: str
    header: str = Field(description="The exact header; its bytes are what is hashed.")
    index: int = Field(description="The entry's number in the tree, from 0.")
    path: list[str] = Field(description="Hashes from the leaf to the root (RFC 6962), base64.")
    checkpoint: str = Field(description="The signed note, with the lines of witnesses.")


class ConsistencyAnswer(_Answer):
    """That the smaller tree is the beginning of the larger one."""

    first: int
    first_root: str = Field(description="Root of the smaller tree, base64.")
    second: int
    second_root: str
    path: list[str] = Field(description="Consistency proof (RFC 6962), base64.")


def _documented(*more: str) -> dict[str, Any]:
    return {
        "responses": openapi.problems(*openapi.ADMIN_PROBLEMS, "tree_broken", *more),
        "openapi_extra": {"security": [{"api_key": []}]},
    }


@router.get(
    "/v1/audit/proofs/{entry_id}",
    **_documented("unknown_entry", "entry_not_covered", "invalid_request"),
)
async def read_proof(request: Request, _: Reader, entry_id: str) -> ProofAnswer:
    """Return the proof that an entry is part of the signed log: its header, no content."""
    async with _runtime(request).actions.connection() as connection:
        proof = await prove(connection, entry_id_of(entry_id))
    if proof is None:
        raise UnknownEntry
    return ProofAnswer(**proof)


@router.get("/v1/audit/consistency", **_documented("out_of_tree", "invalid_request"))
async def read_consistency(
    request: Request,
    _: Reader,
    first: Annotated[int, Query(ge=0, le=MAX_SIZE, description="Size of the smaller tree.")],
    second: Annotated[int, Query(ge=0, le=MAX_SIZE, description="Size of the larger tree.")],
) -> ConsistencyAnswer:
    """Return the proof that the tree of `first` entries is the beginning of that of `second`."""
    async with _runtime(request).actions.connection() as connection:
        tree = StoredTree(connection)
        path = await tree.consistency(first, second)
        roots = [base64.b64encode(await tree.root(size)).decode() for size in (first, second)]
    return ConsistencyAnswer(
        first=first,
        first_root=roots[0],
        second=second,
        second_root=roots[1],
        path=[base64.b64encode(node).decode() for node in path],
    )


def _runtime(request: Request) -> Runtime:
    runtime: Runtime = request.app.state.runtime
    return runtime
