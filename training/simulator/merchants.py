"""Who sells in the simulated shop, what do they offer, and with which papers?

Papers, words and prices follow what features/signals knows, and belong to nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from training.labelled import Json
from training.simulator.people import DAY
from training.simulator.steps import iso
from training.simulator.world import World


class Trade(NamedTuple):
    """A line of trade: its categories, titles, papers that it needs, and its usual price."""

    category: str
    titles: tuple[str, ...]
    licences: tuple[str, ...]
    certificates: tuple[str, ...]
    price: int


TRADES = (
    Trade("食品/坚果", ("每日坚果 30 包", "原味核桃仁"), ("food_business_licence",), (), 8900),
    Trade("生鲜/水果", ("赣南脐橙 5 斤", "红富士苹果"), ("farm_produce_statement",), (), 4900),
    Trade("茶叶/绿茶", ("明前龙井 100 克", "云雾绿茶"), ("food_business_licence",), (), 19900),
    Trade("美妆护肤/面膜", ("玻尿酸保湿面膜", "清爽防晒乳"), (), ("cosmetics_filing",), 12900),
    Trade("玩具/积木", ("木质积木 100 粒", "磁力片"), (), ("ccc",), 15900),
    Trade("小家电/厨房", ("电热水壶 1.7 升", "空气炸锅"), (), ("ccc",), 29900),
    Trade("手机", ("5G 手机 12+256G",), (), ("ccc", "network_access_licence"), 299900),
    Trade("图书/少儿", ("中国地理绘本", "恐龙百科"), ("publication_business_licence",), (), 5900),
    Trade("服饰/男装", ("纯棉衬衫", "羊毛衫"), (), (), 16900),
    Trade("家居/收纳", ("折叠收纳箱", "桌面书架"), (), (), 6900),
)  # fmt: skip
_PROSE = (
    "材质与尺寸见详情，支持七天无理由退货。",
    "最佳食用期见包装，请置于阴凉干燥处。",
    "新品上架，独立包装，送礼自用皆可。",
    "本店客服在线时间 9:00 至 22:00，第一时间发货。",
)
_YEAR = 365 * DAY


@dataclass(slots=True)
class Seller:
    """A merchant with its line of trade."""

    id: str
    trade: Trade
    opened_at: float
    registration: str


class Market:
    """The merchants of a run, the shop's customers as their buyers, and a generator of its own.

    Its randomness is apart from that of the shop, so that the customers' events are the same with
    and without merchants.
    """

    def __init__(self, world: World, seed: int, run: str, start: float, merchants: int) -> None:
        settlers = Random(f"{seed}/merchants")
        self.rng = Random(f"{seed}/{run}/merchants")
        self._buyers = [person.id for person in world.people]
        self._run = run
        self._count = 0
        self._start = start
        self.sellers = [
            _seller(settlers, f"m-s{seed:x}-{number:x}", start - settlers.uniform(0.2, 6) * _YEAR)
            for number in range(merchants)
        ]

    def seller(self) -> Seller:
        """Return an established merchant."""
        return self.rng.choice(self.sellers)

    def newcomer(self, at: float) -> Seller:
        """Return a merchant whose shop was opened in the last days."""
        return _seller(self.rng, self.id("m"), at - self.rng.uniform(0.1, 5) * DAY)

    def buyer(self) -> str:
        """Return the id of a customer."""
        return self.rng.choice(self._buyers)

    def id(self, kind: str) -> str:
        """Return an id that no other call returns."""
        self._count += 1
        return f"{kind}-{self._run}t-{self._count:x}"

    def price(self, trade: Trade) -> int:
        """Return a price near the usual one of a line of trade."""
        return int(trade.price * self.rng.uniform(0.6, 1.7)) // 100 * 100

    def title(self, trade: Trade) -> str:
        """Return an honest title."""
        return self.rng.choice(trade.titles)

    def prose(self) -> str:
        """Return an honest description."""
        return self.rng.choice(_PROSE)


def papers(kinds: tuple[str, ...], at: float, **more: bool) -> list[Json]:
    """Return papers that are good for three years from `at` on (Unix seconds)."""
    until = iso(at + 3 * _YEAR)
    told = {"is_own": True, "is_verified": True, **more}
    return [{"kind": kind, "valid_until": until, **told} for kind in kinds]


def _seller(rng: Random, id_: str, opened_at: float) -> Seller:
    kinds = ("company", "company", "sole_trader")
    return Seller(id_, rng.choice(TRADES), opened_at, rng.choice(kinds))
