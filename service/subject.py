"""Whose data is an event?

The first of these kinds that the event names: its key seals what is kept about the person, and its
tag tells which share of a rollout it belongs to.
"""

from __future__ import annotations

SUBJECT_KINDS = ("user", "email", "phone", "device", "payment_instrument", "ip", "merchant")
