"""What time of day and of the week is it for somebody, on their own clock?

Invariant: moments are aware; offsets are minutes east of UTC.
"""

from __future__ import annotations

from datetime import datetime, timedelta

NIGHT_ENDS = 6
_SATURDAY = 5


def local_time(moment: datetime, offset_minutes: int) -> datetime:
    """Give the moment as a clock with this offset shows it.

    >>> local_time(datetime.fromisoformat("2026-11-22T20:15:00Z"), 480).isoformat()[:16]
    '2026-11-23T04:15'
    """
    return moment + timedelta(minutes=offset_minutes)


def is_night(shown: datetime) -> bool:
    """Say whether a clock shows a time from midnight to six.

    >>> is_night(datetime(2026, 11, 23, 4, 15)), is_night(datetime(2026, 11, 23, 6, 0))
    (True, False)
    """
    return shown.hour < NIGHT_ENDS


def is_weekend(shown: datetime) -> bool:
    """Say whether a clock shows a Saturday or Sunday; countries with other weekends are not told.

    >>> is_weekend(datetime(2026, 11, 22, 9, 0)), is_weekend(datetime(2026, 11, 23, 9, 0))
    (True, False)
    """
    return shown.weekday() >= _SATURDAY
