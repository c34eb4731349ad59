"""What happened, as the caller told it: the one typed, frozen shape of an event.

`parse_event` has a fast path for good bodies; only a refused one is looked at again in full.
Invariant: an `Event` in hand is complete for its type, its times are UTC, and no text in it
holds a card number; `repr` never shows what is inside.
"""

from __future__ import annotations

import pydantic_core
from pydantic import Field, TypeAdapter, ValidationError

from features.card_numbers import may_hold_card_number
from features.event_fields import Id, Time, TypeName, Word
from features.event_parts import (
    Address,
    Coupon,
    Device,
    Item,
    Login,
    Network,
    Order,
    Part,
    Payment,
    Return,
    User,
)
from features.event_trade import Document, Listing, Merchant, Settlement
from features.event_types import EVENT_TYPES
from features.money import CurrencyTable
from features.problems import InvalidEvent, Problem
from features.refusal import problems_of

__all__ = ["Address", "Device", "Event", "InvalidEvent", "Item", "Problem", "parse_event"]


class Event(Part):
    """One event. `event_id` is the caller's, and makes a repeat recognisable.

    `business_line` and `region` are words of the shop: who answers for the event, and where.
    """

    event_id: Id
    type: TypeName
    occurred_at: Time
    business_line: Word | None = None
    region: Word | None = None
    user: User | None = None
    device: Device | None = None
    network: Network | None = None
    order: Order | None = None
    payment: Payment | None = None
    coupon: Coupon | None = None
    return_: Return | None = Field(default=None, alias="return")
    login: Login | None = None
    merchant: Merchant | None = None
    listing: Listing | None = None
    settlement: Settlement | None = None


_EVENT: TypeAdapter[Event] = TypeAdapter(Event)
_REQUIRED: dict[str, tuple[str, ...]] = {
    name: tuple("return_" if part == "return" else part for part in row.required)
    for name, row in EVENT_TYPES.items()
}


def parse_event(raw: bytes, currencies: CurrencyTable | None = None) -> Event:
    """Make an event of a JSON body, or raise `InvalidEvent` with every problem in it.

    With `currencies` a currency that the table does not have is a problem too.

    >>> parse_event(b'{"event_id": "e", "type": "signup", "occurred_at": "2026-11-22T08:15:30Z"}')
    Traceback (most recent call last):
    features.problems.InvalidEvent: 1 problem(s) in the event
    """
    try:
        event = _EVENT.validate_json(raw)
    except ValidationError as error:
        raise InvalidEvent(problems_of(raw, Event, error, currencies)) from None
    if (
        any(getattr(event, part) is None for part in _REQUIRED[event.type])
        or (currencies is not None and not _currencies_known(event, currencies))
        or _may_repeat_a_key(raw, event)
        or _may_hold_a_card(raw)
    ):
        problems = problems_of(raw, Event, None, currencies)
        if problems:
            raise InvalidEvent(problems)
    return event


def _currencies_known(event: Event, currencies: CurrencyTable) -> bool:
    for part in (
        event.order, event.payment, event.coupon, event.return_, event.listing, event.settlement,
    ):  # fmt: skip
        if part is not None and part.currency is not None and part.currency not in currencies:
            return False
    return True


def _may_hold_a_card(raw: bytes) -> bool:
    if b"\\" in raw:  # digits and separators may be written as escapes: write them out first
        raw = pydantic_core.to_json(pydantic_core.from_json(raw))
    return may_hold_card_number(raw)


def _may_repeat_a_key(raw: bytes, event: Event) -> bool:
    # Without white space, `":` ends each key and occurs in a few texts: as many of them as fields
    # that were set means that no key came twice.
    return raw.translate(None, b" \t\r\n").count(b'":') != _fields_set(event)


def _fields_set(event: Event) -> int:
    count = len(event.model_fields_set)
    for part in (event.user, event.device, event.network, event.payment, event.coupon, event.login):
        if part is not None:
            count += len(part.model_fields_set)
    items: tuple[Item, ...] = ()
    if event.order is not None:
        count += len(event.order.model_fields_set)
        items = event.order.items
        if event.order.shipping_address is not None:
            count += len(event.order.shipping_address.model_fields_set)
    if event.return_ is not None:
        count += len(event.return_.model_fields_set)
        items += event.return_.items
    count += _set_in_trade(event.merchant, event.listing, event.settlement)
    return count + sum(len(item.model_fields_set) for item in items)


def _set_in_trade(
    merchant: Merchant | None, listing: Listing | None, settlement: Settlement | None
) -> int:
    count = 0
    documents: tuple[Document, ...] = ()
    if merchant is not None:
        count += len(merchant.model_fields_set)
        documents += merchant.licences or ()
    if listing is not None:
        count += len(listing.model_fields_set)
        documents += listing.certificates or ()
    if settlement is not None:
        count += len(settlement.model_fields_set)
        for flow in (settlement.money, settlement.invoice, settlement.goods):
            if flow is not None:
                count += len(flow.model_fields_set)
    return count + sum(len(document.model_fields_set) for document in documents)
