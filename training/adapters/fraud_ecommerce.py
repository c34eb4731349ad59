"""How do the rows of `fraud-ecommerce` become sign-ups and first purchases?

One row gives a `signup` and a `checkout` with the row's label; times have a resolution of a minute,
so that a sign-up goes before a purchase of the same minute. The address is a float of the 32-bit
number, empty for 42 % of the rows; 12.8 % of those given are 224.0.0.0 or above, which no client
has: they are passed on as they are. Browser, source, sex and age have no place in an event.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

from training.adapters.folder import rows_of
from training.labelled import Json, Labelled

NAME = "fraud-ecommerce"
FILE = "fraud_data_prefix.csv"


def events(folder: Path) -> Iterator[Labelled]:
    """Yield 103,378 events in time order; raises `DataMissing`."""
    rows = list(rows_of(folder / NAME / FILE))
    moments = [
        (row[column], kind, number)
        for number, row in enumerate(rows)
        for kind, column in enumerate(("signup_time", "purchase_time"))
    ]
    moments.sort()
    for at, kind, number in moments:
        row = rows[number]
        event = (_signup, _checkout)[kind](row, f"{at}:00Z")
        yield Labelled(event, int(row["class"]), NAME)


def _signup(row: dict[str, str], at: str) -> Json:
    return {"event_id": f"fe-s-{row['user_id']}", "type": "signup", "occurred_at": at, **_who(row)}


def _checkout(row: dict[str, str], at: str) -> Json:
    order = {
        "id": f"fe-o-{row['user_id']}",
        "amount_minor": int(row["purchase_value"]) * 100,
        "currency": "USD",
    }
    return {
        "event_id": f"fe-c-{row['user_id']}",
        "type": "checkout",
        "occurred_at": at,
        **_who(row),
        "order": order,
    }


def _who(row: dict[str, str]) -> Json:
    parts: Json = {
        "user": {"id": f"fe-{row['user_id']}", "created_at": f"{row['signup_time']}:00Z"},
        "device": {"id": row["device_id"]},
    }
    if row["ip_address"]:
        parts["network"] = {"ip": ip_text(row["ip_address"])}
    return parts


def ip_text(number: str) -> str:
    """Return the dotted form of an address written as a float; its fraction means nothing.

    >>> ip_text("732758368.8")
    '43.173.1.96'
    """
    return str(IPv4Address(int(float(number))))
