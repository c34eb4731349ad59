"""What does `device.fingerprint` tell about a device, and can it be believed?

The text is `1.<head>.<body>.<signature>`; the head is that of a token, and head and signature are
empty where the browser could not get one. A bad fingerprint is a fact about its event, no error.
Invariant: pure and total: any text gives a reading.
"""

from __future__ import annotations

from typing import NamedTuple

from features.collector.components import Components, components_of
from features.collector.identity import ENOUGH, Identity, identify
from features.collector.signs import Seen, contradictions, looks_automated, looks_emulated
from features.collector.tokens import (
    SKEW_SECONDS,
    TOKEN_SECONDS,
    TokenKey,
    bytes_of,
    head_of,
    issued_ms,
    nonce_of,
)
from features.collector.verdicts import BELIEVED, Verdict
from features.event import Device, Event
from features.fields import Value

FORMAT = "1"


class Reading(NamedTuple):
    """A fingerprint that was read.

    `issued_ms` is there when the signature is good, `nonce` when it is also in time.
    """

    verdict: Verdict
    components: Components | None = None
    identity: Identity | None = None
    issued_ms: int | None = None
    nonce: str | None = None


def read_fingerprint(text: str, key: TokenKey, now_ms: int) -> Reading:
    """Read a fingerprint at a moment in Unix milliseconds, and check its signature and age.

    >>> read_fingerprint("nonsense", TokenKey(bytes(32)), 0).verdict
    'unreadable'
    """
    parts = text.split(".")
    body = bytes_of(parts[2]) if len(parts) == 4 and parts[0] == FORMAT else None
    components = None if body is None else components_of(body)
    if components is None:
        return Reading("unreadable")
    identity = identify(components)
    _, head_text, _, signature = parts
    if not head_text and not signature:
        return Reading("unsigned", components, identity)
    head = head_of(head_text)
    if head is None or not key.is_signed(head, text.rpartition(".")[0], signature):
        return Reading("forged", components, identity)
    at_ms = issued_ms(head)
    if not -SKEW_SECONDS * 1000 <= now_ms - at_ms <= TOKEN_SECONDS * 1000:
        return Reading("expired", components, identity, at_ms)
    return Reading("verified", components, identity, at_ms, nonce_of(head))


def fingerprint_fields(reading: Reading, device: Device) -> dict[str, Value]:
    """Give the fields that a fingerprint adds to those of its event."""
    fields: dict[str, Value] = {
        "fingerprint.verdict": reading.verdict,
        "fingerprint.is_verified": reading.verdict in BELIEVED,
        "fingerprint.is_device_id": derived_id(reading, device) is not None,
    }
    components, identity = reading.components, reading.identity
    if components is not None and identity is not None:
        seen = Seen(components, device.user_agent, reading.issued_ms)
        fields["fingerprint.confidence"] = identity.confidence
        fields["fingerprint.contradictions"] = len(contradictions(seen))
        fields["fingerprint.is_automated"] = looks_automated(components)
        fields["fingerprint.is_emulated"] = looks_emulated(components)
    return fields


def derived_id(reading: Reading, device: Device) -> str | None:
    """Give the id that stands in for a missing `device.id`: believed, and most likely unique."""
    identity = reading.identity
    if device.id is not None or identity is None or reading.verdict not in BELIEVED:
        return None
    return identity.device_id if identity.confidence >= ENOUGH else None


def with_derived_id(event: Event, reading: Reading) -> Event:
    """Give the event with the derived id as its `device.id`, or as it is when there is none."""
    device = event.device
    if device is None or (found := derived_id(reading, device)) is None:
        return event
    return event.model_copy(update={"device": device.model_copy(update={"id": found})})
