"""How do the invoices of `online-retail` become orders and returns?

An invoice with a positive amount is a `checkout` in pounds; one whose number begins with C is a
`return_request`. Which order is returned is not in the set: it is taken to be the customer's latest
invoice with the first returned article. Returns without a customer and invoices without a positive
amount (write-offs, samples) are no events; `counts` says how many there were. Times are the shop's
wall clock, read as UTC.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from itertools import groupby
from pathlib import Path

from training.adapters.folder import rows_of
from training.labelled import Json, Labelled

NAME = "online-retail"
FILE = "online_retail.csv.gz"
MAX_LINES = 500  # the longest list of items that an event may have

_COUNTRIES = {
    "Australia": "AU", "Austria": "AT", "Bahrain": "BH", "Belgium": "BE", "Brazil": "BR",
    "Canada": "CA", "Channel Islands": "JE", "Cyprus": "CY", "Czech Republic": "CZ",
    "Denmark": "DK", "EIRE": "IE", "Finland": "FI", "France": "FR", "Germany": "DE",
    "Greece": "GR", "Hong Kong": "HK", "Iceland": "IS", "Israel": "IL", "Italy": "IT",
    "Japan": "JP", "Lebanon": "LB", "Lithuania": "LT", "Malta": "MT", "Netherlands": "NL",
    "Norway": "NO", "Poland": "PL", "Portugal": "PT", "RSA": "ZA", "Saudi Arabia": "SA",
    "Singapore": "SG", "Spain": "ES", "Sweden": "SE", "Switzerland": "CH", "USA": "US",
    "United Arab Emirates": "AE", "United Kingdom": "GB",
}  # fmt: skip


def events(folder: Path, counts: Counter[str] | None = None) -> Iterator[Labelled]:
    """Yield orders and returns in time order, without labels; raises `DataMissing`.

    `counts`, when given, is filled with the number of invoices by what became of them.
    """
    counts = Counter() if counts is None else counts
    bought: dict[tuple[str, str], str] = {}  # customer and article -> latest invoice
    rows = rows_of(folder / NAME / FILE)
    for _day, of_day in groupby(rows, key=lambda row: row["InvoiceDate"][:10]):
        invoices: dict[str, list[dict[str, str]]] = {}
        for row in of_day:
            invoices.setdefault(row["InvoiceNo"], []).append(row)
        for number in sorted(invoices, key=lambda no: (invoices[no][0]["InvoiceDate"], no)):
            lines = invoices[number]
            if number.startswith("C"):
                event = _return(number, lines, bought)
                kind = "returns without a customer" if event is None else "returns"
            else:
                event = _checkout(number, lines, bought)
                kind = "invoices without an amount" if event is None else "orders"
            counts[kind] += 1
            if event is not None:
                yield Labelled(event, None, NAME)


def _checkout(
    number: str, lines: list[dict[str, str]], bought: dict[tuple[str, str], str]
) -> Json | None:
    items = [_item(row) for row in lines if int(row["Quantity"]) > 0 and row["UnitPrice"][0] != "-"]
    amount = sum(item["quantity"] * item["unit_price_minor"] for item in items)
    if not amount:
        return None
    customer = lines[0]["CustomerID"]
    if customer:
        bought.update(((customer, row["StockCode"]), number) for row in lines)
    order: Json = {
        "id": f"or-{number}",
        "amount_minor": amount,
        "currency": "GBP",
        "items": items[:MAX_LINES],
    }
    country = _COUNTRIES.get(lines[0]["Country"])
    if country:
        order["shipping_address"] = {"country": country}
    return {**_head(number, "checkout", lines), **_who(customer), "order": order}


def _return(
    number: str, lines: list[dict[str, str]], bought: dict[tuple[str, str], str]
) -> Json | None:
    customer = lines[0]["CustomerID"]
    if not customer:
        return None
    items = [_item(row) for row in lines]
    of_order = bought.get((customer, lines[0]["StockCode"]))
    part = {
        "order_id": f"or-{of_order or 'before-' + number}",
        "reason": "other",
        "amount_minor": sum(item["quantity"] * item["unit_price_minor"] for item in items),
        "currency": "GBP",
        "items": items[:MAX_LINES],
        "quantity": sum(item["quantity"] for item in items),
    }
    return {**_head(number, "return_request", lines), **_who(customer), "return": part}


def _head(number: str, kind: str, lines: list[dict[str, str]]) -> Json:
    at = datetime.fromisoformat(lines[0]["InvoiceDate"]).replace(tzinfo=UTC)
    return {"event_id": f"or-{number}", "type": kind, "occurred_at": at.isoformat()}


def _who(customer: str) -> Json:
    return {"user": {"id": f"or-{customer}"}} if customer else {}


def _item(row: dict[str, str]) -> Json:
    return {
        "sku": row["StockCode"],
        "quantity": abs(int(row["Quantity"])),
        "unit_price_minor": int((Decimal(row["UnitPrice"]) * 100).to_integral_value()),
    }
