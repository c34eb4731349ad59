"""What are merchants paid for, honestly and otherwise?

Invariant: honest money, invoices and goods agree up to postage; a present goes to another than the
payer, and a small order may be without an invoice.
"""

from __future__ import annotations

from collections.abc import Iterator

from training.labelled import Json
from training.simulator.merchants import Market, Seller
from training.simulator.scenarios.offers import merchant_of
from training.simulator.steps import Step


def honest_settlement(market: Market, start: float) -> Iterator[Step]:
    """One order that was paid, billed and delivered, a part of it refunded now and then."""
    seller, rng = market.seller(), market.rng
    buyer = market.buyer()
    amount = market.price(seller.trade) * rng.randint(1, 3)
    refunded = int(amount * rng.choice((0.25, 0.5))) if rng.random() < 0.08 else 0
    due = amount - refunded
    part = _settlement(market, seller, buyer, amount, due)
    part["refunded_minor"] = refunded
    if rng.random() < 0.1:
        part["goods"]["receiver"] = market.buyer()  # a present
    if rng.random() < 0.4:
        del part["invoice"]
    yield _step(start, seller, buyer, part, abusive=False)


def invented_trade(market: Market, start: float) -> Iterator[Step]:
    """A shop buys from itself through two helpers; the parcels are empty."""
    seller, rng = market.newcomer(start), market.rng
    helpers = [market.buyer() for _ in range(2)]
    at = start
    for _ in range(rng.randint(22, 30)):
        buyer = rng.choice(helpers)
        amount = market.price(seller.trade) * rng.randint(2, 6)
        part = _settlement(market, seller, buyer, amount, amount)
        part["goods"]["amount_minor"] = int(amount * rng.choice((0.0, 0.05, 1.0)))
        if rng.random() < 0.2:
            part["money"]["payer"] = seller.id
        yield _step(at, seller, buyer, part, abusive=True)
        at += 300 + rng.expovariate(1 / 2400)


def inflated_invoice(market: Market, start: float) -> Iterator[Step]:
    """More is billed than was paid, to somebody who did not buy."""
    seller, rng = market.seller(), market.rng
    buyer = market.buyer()
    amount = market.price(seller.trade) * rng.randint(20, 60)
    part = _settlement(market, seller, buyer, amount, amount)
    part["invoice"]["amount_minor"] = int(amount * rng.uniform(1.3, 3.0))
    part["invoice"]["recipient"] = market.id("c")
    yield _step(start, seller, buyer, part, abusive=True)


def redirected_payout(market: Market, start: float) -> Iterator[Step]:
    """Somebody got hold of a merchant's account and has the money sent elsewhere."""
    seller, rng = market.seller(), market.rng
    thief = market.id("m")
    at = start
    for _ in range(rng.randint(1, 3)):
        buyer = market.buyer()
        amount = market.price(seller.trade) * rng.randint(1, 4)
        part = _settlement(market, seller, buyer, amount, amount)
        part["money"]["payee"] = thief
        if rng.random() < 0.5:
            del part["goods"]
        yield _step(at, seller, buyer, part, abusive=True)
        at += 60 + rng.expovariate(1 / 120)


def _settlement(market: Market, seller: Seller, buyer: str, amount: int, due: int) -> Json:
    return {
        "id": market.id("s"),
        "order_amount_minor": amount,
        "currency": "CNY",
        "money": {"amount_minor": due, "payer": buyer, "payee": seller.id},
        "invoice": {"amount_minor": due, "issuer": seller.id, "recipient": buyer},
        "goods": {"amount_minor": due, "sender": seller.id, "receiver": buyer},
    }


def _step(at: float, seller: Seller, buyer: str, settlement: Json, *, abusive: bool) -> Step:
    parts = {
        "business_line": "marketplace",
        "region": "cn",
        "user": {"id": buyer},
        "merchant": merchant_of(seller, at),
        "settlement": settlement,
    }
    return Step(at, "settlement", parts, abusive)
