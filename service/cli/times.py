"""How do commands read a time? A day or a second, of UTC unless it names a zone."""

from __future__ import annotations

from datetime import UTC, datetime

TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"]


def in_utc(at: datetime) -> datetime:
    """Return the time as an aware one.

    >>> in_utc(datetime(2026, 11, 22)).isoformat()
    '2026-11-22T00:00:00+00:00'
    """
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def time_text(at: datetime | None) -> str | None:
    """Return a time that may be left out as the API takes it."""
    return None if at is None else in_utc(at).isoformat()
