"""Why was it decided so? An explanation for the person, the shop or an authority.

Invariants: whoever asks says why, and that they asked is on record before the answer leaves; what
is told of a restricted or erased person is that, and nothing else.
"""

from __future__ import annotations

from fastapi import APIRouter, Request

from service.api.audit_search import (
    ID_PROBLEMS,
    Revealer,
    documented,
    opener_of,
    purpose_problems,
    runtime_of,
)
from service.api.audit_search_models import ExplainAnswer, ExplainBody, SectionAnswer
from service.api.bounded import BoundedRoute
from service.audit.errors import EntryErased, UnknownEntry
from service.audit.explain import explained
from service.audit.logic import logic_of
from service.audit.reveal import entry_id_of, revealed
from service.csv_rows import refuse_rows

router = APIRouter(tags=["audit"], route_class=BoundedRoute)


@router.post("/v1/audit/entries/{entry_id}/explain", **documented(*ID_PROBLEMS, "rows_invalid"))
async def explain_entry(
    request: Request, caller: Revealer, entry_id: str, body: ExplainBody
) -> ExplainAnswer:
    """Explain one decision: in plain words, as the shop sees it, or with all of its logic."""
    runtime, wanted = runtime_of(request), entry_id_of(entry_id)
    refuse_rows(purpose_problems(body.purpose))
    who = {**caller.who, "purpose": body.purpose}
    what = {"entry": wanted.hex(), "view": body.view}
    async with runtime.actions.action("audit.explain", who, **what) as action:
        entry = await revealed(action.connection, opener_of(runtime), wanted)
        if entry.header.type != "decision":
            raise UnknownEntry("Only decisions are explained.")
        if not {"core", "subject"} <= entry.blocks.keys():
            raise EntryErased
        logic = None
        if body.view != "person":
            logic = await logic_of(runtime.brain, action.connection, entry)
    return ExplainAnswer(
        entry_id=entry.entry_id,
        view=body.view,
        language=body.language,
        sections=[
            SectionAnswer(**section)
            for section in explained(entry, body.view, body.language, logic)
        ],
    )
