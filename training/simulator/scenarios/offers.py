"""What do merchants want to offer, honestly and otherwise?

Invariant: an honest offer has its papers and says nothing that the law forbids; each other one
breaks one rule of the compliance packs.
"""

from __future__ import annotations

from collections.abc import Iterator

from training.labelled import Json
from training.simulator.merchants import TRADES, Market, Seller, papers
from training.simulator.steps import Step, iso

_LOUD = (
    ("国家级品质 {}", "全网第一，销量冠军。"),
    ("{} 顶级", "世界级工艺，独一无二。"),
    ("{} 口感最佳", "回购率遥遥领先。"),
    ("{}", "行业第一品牌，无与伦比。"),
)
_MEDICAL = (
    "根治高血压、糖尿病，药到病除。",
    "降血糖，抗癌，无副作用。",
    "治疗失眠，百分百有效。",
)
_HIDDEN = ("一次性电子烟 8 支装", "烟弹 原味 3 颗", "仿真枪模型 合金")
_LICENSED = tuple(trade for trade in TRADES if trade.licences)


def honest_offers(market: Market, start: float) -> Iterator[Step]:
    """Submit one to four offers of one's own trade, minutes apart."""
    seller, rng = market.seller(), market.rng
    at = start
    for _ in range(1 + min(3, int(rng.expovariate(0.8)))):
        yield _step(at, _parts(market, seller, at), abusive=False)
        at += 120 + rng.expovariate(1 / 600)


def unlicensed_offers(market: Market, start: float) -> Iterator[Step]:
    """A fresh shop offers what needs a licence: it has none, or an expired or borrowed one."""
    seller, rng = market.newcomer(start), market.rng
    seller.trade = rng.choice(_LICENSED)
    kind = rng.choice(("none", "expired", "borrowed", "forged"))
    at = start
    for _ in range(rng.randint(1, 4)):
        parts = _parts(market, seller, at)
        if kind == "none":
            parts["merchant"]["licences"] = []
        elif kind == "expired":
            parts["merchant"]["licences"] = papers(seller.trade.licences, at - 4 * 365 * 86_400)
        else:
            told = {"is_own": kind != "borrowed", "is_verified": kind != "forged"}
            parts["merchant"]["licences"] = papers(seller.trade.licences, at, **told)
        yield _step(at, parts, abusive=True)
        at += 60 + rng.expovariate(1 / 300)


def loud_claims(market: Market, start: float) -> Iterator[Step]:
    """Absolute terms, now and then spelled apart; crossed-out prices that nobody ever asked."""
    seller, rng = market.seller(), market.rng
    parts = _parts(market, seller, start)
    title, prose = rng.choice(_LOUD)
    listing = parts["listing"]
    listing["title"] = title.format(listing["title"])
    listing["description"] = prose if rng.random() < 0.8 else "·".join(prose)
    if rng.random() < 0.3:
        listing["was_price_minor"] = listing["price_minor"] * 15
    yield _step(start, parts, abusive=True)


def medical_claims(market: Market, start: float) -> Iterator[Step]:
    """Food that heals: submitted again and again, a little reworded."""
    seller, rng = market.newcomer(start), market.rng
    seller.trade = TRADES[rng.choice((0, 2))]
    at = start
    for _ in range(rng.randint(2, 6)):
        parts = _parts(market, seller, at)
        parts["listing"]["description"] = rng.choice(_MEDICAL)
        yield _step(at, parts, abusive=True)
        at += 600 + rng.expovariate(1 / 3600)


def hidden_goods(market: Market, start: float) -> Iterator[Step]:
    """Goods that nobody may sell here, under a harmless category."""
    seller, rng = market.newcomer(start), market.rng
    seller.trade = TRADES[-1]
    seller.registration = rng.choice(("none", "sole_trader"))
    parts = _parts(market, seller, start)
    parts["listing"]["title"] = rng.choice(_HIDDEN)
    yield _step(start, parts, abusive=True)


def _parts(market: Market, seller: Seller, at: float) -> Json:
    price = market.price(seller.trade)
    return {
        "business_line": "marketplace",
        "region": "cn",
        "merchant": merchant_of(seller, at),
        "listing": {
            "id": market.id("l"),
            "category": seller.trade.category,
            "title": market.title(seller.trade),
            "description": market.prose(),
            "price_minor": price,
            "was_price_minor": int(price * market.rng.choice((1.0, 1.1, 1.5))),
            "currency": "CNY",
            "is_imported": False,
            "certificates": papers(seller.trade.certificates, at),
        },
    }


def merchant_of(seller: Seller, at: float) -> Json:
    """Return the merchant part of a seller with all the licences that its trade needs."""
    return {
        "id": seller.id,
        "registration": seller.registration,
        "country": "CN",
        "opened_at": iso(seller.opened_at),
        "licences": papers(seller.trade.licences, at),
    }


def _step(at: float, parts: Json, *, abusive: bool) -> Step:
    return Step(at, "listing_submitted", parts, abusive)
