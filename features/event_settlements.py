"""Do money, invoice and goods of a settlement agree?

Functions of the table in `event_features.py` about `settlement`.
Invariant: None means unknown, as the `missing` text of the catalog row says; nothing raises.
"""

from __future__ import annotations

from features.signals import agreement
from features.stated import EventFunction, Function, Stated


def settlement_missing_flows(stated: Stated) -> int | None:
    settlement = stated.event.settlement
    if settlement is None:
        return None
    return sum(flow is None for flow in (settlement.money, settlement.invoice, settlement.goods))


def settlement_amount_gap(stated: Stated) -> float | None:
    """Compare money, invoice and goods with each other and with the order less its refunds."""
    due, settlement = _due(stated), stated.event.settlement
    if settlement is None:
        return None
    flows = (settlement.money, settlement.invoice, settlement.goods)
    return agreement.gap([due, *(None if flow is None else flow.amount_minor for flow in flows)])


def settlement_paid_share(stated: Stated) -> float | None:
    settlement = stated.event.settlement
    if settlement is None or settlement.money is None:
        return None
    return agreement.share(settlement.money.amount_minor, _due(stated))


def settlement_invoiced_share(stated: Stated) -> float | None:
    settlement = stated.event.settlement
    if settlement is None or settlement.money is None or settlement.invoice is None:
        return None
    return agreement.share(settlement.invoice.amount_minor, settlement.money.amount_minor)


def settlement_delivered_share(stated: Stated) -> float | None:
    settlement = stated.event.settlement
    if settlement is None or settlement.money is None or settlement.goods is None:
        return None
    return agreement.share(settlement.goods.amount_minor, settlement.money.amount_minor)


def settlement_sellers_differ(stated: Stated) -> bool | None:
    """Compare who is paid, who bills and who delivers."""
    settlement = stated.event.settlement
    if settlement is None:
        return None
    money, invoice, goods = settlement.money, settlement.invoice, settlement.goods
    return agreement.differ(
        (
            None if money is None else money.payee,
            None if invoice is None else invoice.issuer,
            None if goods is None else goods.sender,
        )
    )


def settlement_buyers_differ(stated: Stated) -> bool | None:
    """Compare who pays, who is billed and who receives."""
    settlement = stated.event.settlement
    if settlement is None:
        return None
    money, invoice, goods = settlement.money, settlement.invoice, settlement.goods
    return agreement.differ(
        (
            None if money is None else money.payer,
            None if invoice is None else invoice.recipient,
            None if goods is None else goods.receiver,
        )
    )


def settlement_payee_is_merchant(stated: Stated) -> bool | None:
    """Say whether the money goes to the merchant whose settlement it is."""
    settlement, merchant = stated.event.settlement, stated.event.merchant
    if settlement is None or settlement.money is None or merchant is None:
        return None
    payee = settlement.money.payee
    return None if payee is None else payee == merchant.id


def settlement_parties_trade_with_themselves(stated: Stated) -> bool | None:
    """Say whether a payer is also who is paid."""
    settlement = stated.event.settlement
    if settlement is None or settlement.money is None:
        return None
    payer, payee = settlement.money.payer, settlement.money.payee
    return None if payer is None or payee is None else payer == payee


def settlement_refunded_share(stated: Stated) -> float | None:
    settlement = stated.event.settlement
    if settlement is None or settlement.refunded_minor is None:
        return None
    return agreement.share(settlement.refunded_minor, settlement.order_amount_minor)


_TYPED: dict[str, tuple[str, Function]] = {
    "settlement_missing_flows": ("int", settlement_missing_flows),
    "settlement_amount_gap": ("double", settlement_amount_gap),
    "settlement_paid_share": ("double", settlement_paid_share),
    "settlement_invoiced_share": ("double", settlement_invoiced_share),
    "settlement_delivered_share": ("double", settlement_delivered_share),
    "settlement_sellers_differ": ("bool", settlement_sellers_differ),
    "settlement_buyers_differ": ("bool", settlement_buyers_differ),
    "settlement_payee_is_merchant": ("bool", settlement_payee_is_merchant),
    "settlement_trades_with_itself": ("bool", settlement_parties_trade_with_themselves),
    "settlement_refunded_share": ("double", settlement_refunded_share),
}
FUNCTIONS: dict[str, EventFunction] = {
    name: EventFunction(type_, function, is_of_trade=True)
    for name, (type_, function) in _TYPED.items()
}


def _due(stated: Stated) -> int | None:
    """Give what remains of the order after refunds; never below 0."""
    settlement = stated.event.settlement
    if settlement is None:
        return None
    return max(settlement.order_amount_minor - (settlement.refunded_minor or 0), 0)
