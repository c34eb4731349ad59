"""Which device does a fingerprint stand for, and was it used before?

Reads the fingerprint of an event that has one, and claims its nonce in Valkey, so that one
fingerprint vouches for one event. Invariant: never raises; without Valkey the verdict is
`unchecked`, and the same event asked again is no replay.
"""

from __future__ import annotations

from typing import Protocol

import hiredis

from features.collector.fingerprint import fingerprint_fields, read_fingerprint, with_derived_id
from features.collector.tokens import SKEW_SECONDS, TOKEN_SECONDS, TokenKey
from features.collector.verdicts import Verdict
from features.event import Event
from features.fields import Value
from features.velocity.connect import Connection
from features.velocity.store import VelocityUnavailable

# A nonce is remembered for as long as its token can be good.
_TTL_MS = (TOKEN_SECONDS + 2 * SKEW_SECONDS) * 1000


class Nonces(Protocol):
    """Which event used a nonce first, across processes."""

    async def first_user(self, nonce: str, event_tag: str) -> str | None:
        """Claim the nonce for an event unless it is claimed; return the tag of its first event.

        Atomic across processes. Gives None when nobody can tell. Never raises.
        """
        ...


class ValkeyNonces:
    """The `Nonces` of the running service."""

    def __init__(self, connection: Connection, timeout_s: float) -> None:
        self._connection = connection
        self._timeout_s = timeout_s

    async def first_user(self, nonce: str, event_tag: str) -> str | None:
        command = ("SET", f"ts:{{nonce:{nonce}}}:event", event_tag, "NX", "GET", "PX", _TTL_MS)
        try:
            [reply] = await self._connection.call(command, timeout_s=self._timeout_s)
        except VelocityUnavailable:
            return None
        if isinstance(reply, hiredis.ReplyError):
            return None
        return reply.decode() if isinstance(reply, bytes) else event_tag


class Devices:
    """Reads the fingerprints of events."""

    def __init__(self, key: TokenKey, nonces: Nonces) -> None:
        self._key = key
        self._nonces = nonces

    async def read(
        self, event: Event, event_tag: str, now_ms: int
    ) -> tuple[Event, dict[str, Value]]:
        """Return the event, with the derived id where it had none, and its `fingerprint.` fields.

        An event without a fingerprint comes back as it is, with no fields.
        """
        device = event.device
        if device is None or device.fingerprint is None:
            return event, {}
        reading = read_fingerprint(device.fingerprint, self._key, now_ms)
        if reading.nonce is not None:
            first = await self._nonces.first_user(reading.nonce, event_tag)
            verdict: Verdict = "unchecked" if first is None else "verified"
            if first not in (None, event_tag):
                verdict = "replayed"
            reading = reading._replace(verdict=verdict)
        return with_derived_id(event, reading), fingerprint_fields(reading, device)
