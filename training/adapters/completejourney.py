"""How do the coupon redemptions of `completejourney-coupons` become events?

One row, one `coupon_redemption`; the household is the user. The set knows days only: a household's
redemptions of a day are put into one shopping trip, some seconds apart, at an hour that a hash of
household and day decides. The money that a coupon took off is not in the set: `value_minor` is 0.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path

from training.adapters.folder import rows_of
from training.labelled import Labelled

NAME = "completejourney-coupons"
FILE = "coupon_redemptions.csv.gz"

_OPENS_SECONDS = 8 * 3600
_OPEN_SECONDS = 13 * 3600
_APART_SECONDS = 7


def events(folder: Path) -> Iterator[Labelled]:
    """Yield 2,102 events in time order, without labels; raises `DataMissing`."""
    rows = sorted(rows_of(folder / NAME / FILE), key=lambda row: row["redemption_date"])
    count = 0
    for day, of_day in groupby(rows, key=lambda row: row["redemption_date"]):
        timed: list[tuple[datetime, int, dict[str, str]]] = []
        trips: dict[str, datetime] = {}
        for row in of_day:
            household = row["household_id"]
            at = trips.get(household) or _trip(household, day)
            trips[household] = at + timedelta(seconds=_APART_SECONDS)
            count += 1
            timed.append((at, count, row))
        timed.sort(key=lambda item: item[:2])
        yield from (_redemption(row, at, number) for at, number, row in timed)


def _trip(household: str, day: str) -> datetime:
    second = _OPENS_SECONDS + zlib.crc32(f"{household}/{day}".encode()) % _OPEN_SECONDS
    return datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(seconds=second)


def _redemption(row: dict[str, str], at: datetime, number: int) -> Labelled:
    event = {
        "event_id": f"cj-{number}",
        "type": "coupon_redemption",
        "occurred_at": at.isoformat(),
        "user": {"id": f"cj-{row['household_id']}"},
        "coupon": {
            "campaign": f"cj-{row['campaign_id']}",
            "code": f"cj-{row['coupon_upc']}",
            "value_minor": 0,
            "currency": "USD",
        },
    }
    return Labelled(event, None, NAME)
