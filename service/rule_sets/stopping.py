"""How is a rule stopped in an emergency, and who else must agree?

One person may stop a rule; a second confirms within a set time, or the stop lapses. Invariant: the
database refuses a confirmation by who stopped it, and a second stop alone within a day.
"""

from __future__ import annotations

import contextlib
import logging
from datetime import timedelta
from typing import Any

from rules.diagnostic import did_you_mean
from service.actions import SYSTEM, Actions
from service.errors import Refused
from service.ledger.errors import LedgerError
from service.rule_sets.errors import refusals
from service.rule_sets.parts import RULE
from service.rule_sets.store import Stop, deployed, stop_of, stops

# Nobody notifies: `Changes` looks every half second.
STOPS_DUE = "touchstone_stops"

log = logging.getLogger(__name__)

_CONFIRM = """
UPDATE rule_stop SET confirmed_by = $2, confirmed_at = now()
WHERE id = (SELECT max(id) FROM rule_stop WHERE rule_id = $1 AND lifted_at IS NULL) RETURNING *
"""
_LIFT = """
UPDATE rule_stop SET lifted_by = $2, lifted_at = now()
WHERE id = (SELECT max(id) FROM rule_stop WHERE rule_id = $1 AND lifted_at IS NULL) RETURNING *
"""
_LAPSED = """
SELECT EXISTS (SELECT FROM rule_stop WHERE lifted_at IS NULL AND lapsed_at IS NULL
    AND confirmed_at IS NULL AND confirm_until <= now())
"""
_LAPSE = """
UPDATE rule_stop SET lapsed_at = now() WHERE id IN (
    SELECT id FROM rule_stop WHERE lifted_at IS NULL AND lapsed_at IS NULL
        AND confirmed_at IS NULL AND confirm_until <= now() FOR UPDATE SKIP LOCKED
) RETURNING id, rule_id
"""


class UnknownRule(Refused):
    """No version that decides has this rule, or it is not stopped."""

    code = "unknown_rule"


async def stop(
    connection: Any, rule_id: str, *, actor: str, reason: str, confirm_within: timedelta
) -> Stop:
    """Take the effect from a rule. Raises `UnknownRule`, `OwnWork` and `WrongState`."""
    running = await deployed(connection)
    rows = await connection.fetch(
        "SELECT DISTINCT substr(part, $2) AS rule FROM rule_set_part "
        "WHERE version = ANY ($1) AND starts_with(part, $3)",
        [running.live] if running.candidate is None else [running.live, running.candidate],
        len(RULE) + 1,
        RULE,
    )
    known = {row["rule"] for row in rows}
    if rule_id not in known:
        hint = did_you_mean(rule_id, known)
        detail = f"No version that decides has this rule. {hint[:1].upper()}{hint[1:]}"
        raise UnknownRule(detail.strip())
    with refusals():
        row = await connection.fetchrow(
            "INSERT INTO rule_stop (rule_id, reason, actor, confirm_until) "
            "VALUES ($1, $2, $3, now() + $4) RETURNING *",
            rule_id,
            reason,
            actor,
            confirm_within,
        )
    return stop_of(row)


async def confirm(connection: Any, rule_id: str, *, actor: str) -> Stop:
    """Confirm what somebody else stopped: it holds until it is lifted."""
    return await _changed(connection, _CONFIRM, rule_id, actor)


async def lift(connection: Any, rule_id: str, *, actor: str) -> Stop:
    """Let a stopped rule have its effect again."""
    return await _changed(connection, _LIFT, rule_id, actor)


async def _changed(connection: Any, change: str, rule_id: str, actor: str) -> Stop:
    with refusals():
        row = await connection.fetchrow(change, rule_id, actor)
    if row is None:
        found = {one.rule_id for one in await stops(connection)}
        hint = did_you_mean(rule_id, found) or (
            f"stopped: {', '.join(sorted(found))}" if found else "No rule is."
        )
        raise UnknownRule(f"This rule is not stopped. {hint}")
    return stop_of(row)


async def stop_history(connection: Any, limit: int) -> list[Stop]:
    """Return the stops that there were, newest first."""
    rows = await connection.fetch("SELECT * FROM rule_stop ORDER BY id DESC LIMIT $1", limit)
    return [stop_of(row) for row in rows]


class Lapses:
    """Records stops that nobody confirmed in time. A lapse needs no record to take effect."""

    def __init__(self, actions: Actions) -> None:
        self._actions = actions

    async def refresh(self, connection: Any) -> None:
        """Record what has lapsed; of several processes one does. See `Changes.follow`."""
        if not await connection.fetchval(_LAPSED):
            return
        try:
            await self._record()
        except (Refused, LedgerError) as error:
            log.warning("a lapsed stop is not recorded yet: %s", type(error).__name__)

    async def _record(self) -> None:
        with contextlib.suppress(_Nothing):  # raised: what changed nothing leaves no entry
            async with self._actions.action("rules.stop_lapse", {"actor": SYSTEM}) as action:
                action.what |= await _lapse(action.connection)


class _Nothing(Exception):
    """Another process was first."""


async def _lapse(connection: Any) -> dict[str, Any]:
    rows = await connection.fetch(_LAPSE)
    if not rows:
        raise _Nothing
    return {
        "stops": [row["id"] for row in rows],
        "rules": sorted(row["rule_id"] for row in rows),
    }
