"""Which events have other processes begun to answer? Claims in Valkey, by tags only.

A claim names the event and the body that claimed it, and lapses after a day; the ledger remembers
for ever. Lost claims (Valkey cleared) cost nothing but time: the ledger refuses a second entry.
"""

from __future__ import annotations

import hiredis

from features.velocity.connect import Connection
from features.velocity.store import VelocityUnavailable
from features.velocity.wire import refusal
from service.idempotency import CLAIM_TTL

_TTL_MS = int(CLAIM_TTL.total_seconds() * 1000)


class ValkeyClaims:
    """The `Claims` of the running service."""

    def __init__(self, connection: Connection, timeout_s: float) -> None:
        self._connection = connection
        self._timeout_s = timeout_s

    async def take(self, event_tag: str, body_tag: str) -> str | None:
        [reply] = await self._connection.call(
            ("SET", _key(event_tag), body_tag, "NX", "GET", "PX", _TTL_MS),
            timeout_s=self._timeout_s,
        )
        if isinstance(reply, hiredis.ReplyError):
            raise refusal(reply)
        return reply.decode() if isinstance(reply, bytes) else None

    async def release(self, event_tag: str) -> None:
        try:
            await self._connection.call(("DEL", _key(event_tag)), timeout_s=self._timeout_s)
        except VelocityUnavailable:
            return  # the claim lapses by itself, and a repeat after a short wait does the work


def _key(event_tag: str) -> str:
    return f"ts:{{event:{event_tag}}}:claim"
