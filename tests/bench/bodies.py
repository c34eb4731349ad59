"""What the bench sends: the simulator's stream of the last hours, and a hot device."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from training.simulator.stream import Traffic, simulate

SEED = 7
SPAN = timedelta(hours=20)


def stream_bodies(count: int, run: str) -> list[bytes]:
    """Return simulated events of every type, honest and abusive, with ids of this `run`.

    They happen within the last hours, and the bench's service runs on the events' clock, so that
    windows, and with them outcomes, are those of such a stream in real time.
    """
    now = datetime.now(UTC)
    traffic = Traffic(events=count, seed=SEED, since=now - SPAN, until=now, run=run)
    return [json.dumps(labelled.event).encode() for labelled in simulate(traffic)]


def redemption_bodies(count: int, run: str, device: str | None) -> list[bytes]:
    """Return redemptions on one `device`, or each on a new one; users are new each time."""
    now = datetime.now(UTC).isoformat()
    return [
        json.dumps(
            {
                "event_id": f"{run}-{index}",
                "type": "coupon_redemption",
                "occurred_at": now,
                "user": {"id": f"u-{run}-{index}"},
                "device": {"id": device or f"d-{run}-{index}"},
                "coupon": {"campaign": f"c-{run}-{index}", "value_minor": 500},
            }
        ).encode()
        for index in range(count)
    ]


def hot_device_bodies(count: int, run: str) -> list[bytes]:
    """Return redemptions on the hot device, to be counted without a decision."""
    return redemption_bodies(count, run, "hot")
