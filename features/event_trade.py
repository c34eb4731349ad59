"""Of which parts does an event consist that tell of a merchant, an offer and its settlement?

Who pays whom, who bills whom and who sends to whom is compared, never kept.
Invariant: as of all parts (event_parts.py); a list that is not stated is None, never empty.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from features.event_fields import (
    AmountMinor,
    CountryCode,
    CurrencyCode,
    Id,
    Prose,
    Text,
    Time,
    Word,
)
from features.event_parts import Part


class Document(Part):
    """A licence or certificate that was shown. `kind` is a word of signals/qualifications.yaml.

    `is_own`: it was issued to this merchant. `is_verified`: the register of the authority has it.
    """

    kind: Word
    valid_until: Time | None = None
    is_own: bool | None = None
    is_verified: bool | None = None


Documents = Annotated[tuple[Document, ...], Field(max_length=100, strict=False)]


class Merchant(Part):
    """Who sells. `registration` is that of the business; `opened_at` the day of its shop here.

    `exempt`: nobody asks it for one (Electronic Commerce Law of the PRC, article 10).
    """

    id: Id
    registration: Literal["company", "sole_trader", "exempt", "none"] | None = None
    country: CountryCode | None = None
    opened_at: Time | None = None
    licences: Documents | None = None


class Listing(Part):
    """What a merchant wants to offer. `was_price_minor` is the price that is shown crossed out."""

    id: Id
    category: Text
    title: Text
    description: Prose | None = None
    price_minor: AmountMinor | None = None
    was_price_minor: AmountMinor | None = None
    currency: CurrencyCode | None = None
    is_imported: bool | None = None
    certificates: Documents | None = None


class Money(Part):
    """The flow of money: from the buyer to the seller, if all is well."""

    amount_minor: AmountMinor
    payer: Id | None = None
    payee: Id | None = None


class Invoice(Part):
    """The flow of invoices: the seller bills the buyer, if all is well."""

    amount_minor: AmountMinor
    issuer: Id | None = None
    recipient: Id | None = None


class Goods(Part):
    """The flow of goods and services, at the prices of the order; from the seller to the buyer."""

    amount_minor: AmountMinor
    sender: Id | None = None
    receiver: Id | None = None


class Settlement(Part):
    """What is paid out to a merchant, and what it rests on.

    `order_amount_minor` is what was agreed on; `refunded_minor` what went back of it. A flow that
    did not take place is left out.
    """

    id: Id
    order_amount_minor: AmountMinor
    refunded_minor: AmountMinor | None = None
    currency: CurrencyCode | None = None
    money: Money | None = None
    invoice: Invoice | None = None
    goods: Goods | None = None
