"""What shape does a basket have, and how much of it is easily sold on?

A basket here is its lines: (sku, category or None, quantity, unit price in minor units).
Invariant: shares are in [0, 1]; a basket worth nothing has none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from math import sqrt

from features.entities import folded

Line = tuple[str, str | None, int, int]

# Words of categories whose goods are stolen because they are easily sold on: small, dear, wanted by
# many (R. V. Clarke, Hot Products, Police Research Series 112, Home Office 1999), and what stands
# for money. In Chinese texts, which have no spaces, a word counts wherever it stands.
_WORDS = frozenset(
    (
        "airpods", "bag", "bags", "camera", "cameras", "console", "consoles", "cosmetics",
        "diamond", "diamonds", "electronics", "fragrance", "fragrances", "gaming", "gold", "gpu",
        "gpus", "handbag", "handbags", "headphones", "ipad", "iphone", "ipads", "iphones",
        "jewellery", "jewelry", "laptop", "laptops", "liquor", "luxury", "mobile", "mobiles",
        "notebook", "notebooks", "perfume", "perfumes", "phone", "phones", "playstation",
        "prepaid", "smartphone", "smartphones", "smartwatch", "sneaker", "sneakers", "spirits",
        "tablet", "tablets", "topup", "trainers", "vape", "vapes", "voucher", "vouchers", "watch",
        "watches", "whisky", "wine", "xbox",
    )
)  # fmt: skip
_PAIRS = frozenset(
    (("gift", "card"), ("gift", "cards"), ("top", "up"), ("graphics", "card"), ("game", "console"))
)
_CHINESE = (
    "手机", "数码", "平板", "电脑", "相机", "耳机", "显卡", "游戏机", "手表", "名表", "礼品卡",
    "购物卡", "充值", "点卡", "储值卡", "奢侈品", "箱包", "珠宝", "黄金", "钻石", "首饰", "球鞋",
    "运动鞋", "潮鞋", "香水", "彩妆", "茅台", "白酒", "名酒", "香烟", "电子烟",
)  # fmt: skip
_APART = re.compile(r"[\W_]+")
CATEGORIES_KEPT = 4096


@lru_cache(maxsize=CATEGORIES_KEPT)
def is_resale_prone(category: str) -> bool:
    """Say whether goods of a category are easily sold on, by the words of its name.

    >>> is_resale_prone("Gift_Cards"), is_resale_prone("手机数码"), is_resale_prone("grocery")
    (True, True, False)
    """
    text = folded(category)
    if any(word in text for word in _CHINESE):
        return True
    words = _APART.split(text)
    return not _WORDS.isdisjoint(words) or not _PAIRS.isdisjoint(pairwise(words))


def resale_share(lines: Sequence[Line]) -> float | None:
    """Give the share of the value that is in resale-prone categories; None without any category.

    >>> resale_share([("a", "phone", 1, 300), ("b", "grocery", 1, 100)])
    0.75
    """
    total = _value(lines)
    if not total or not any(category for _, category, _, _ in lines):
        return None
    prone = [line for line in lines if line[1] and is_resale_prone(line[1])]
    return _value(prone) / total


def largest_share(lines: Sequence[Line]) -> float | None:
    """Give the largest sku's share of the value.

    >>> largest_share([("a", None, 1, 300), ("b", None, 1, 50), ("b", None, 1, 50)])
    0.75
    """
    total = _value(lines)
    if not total:
        return None
    values: dict[str, int] = {}
    for sku, _, quantity, price in lines:
        values[sku] = values.get(sku, 0) + quantity * price
    return max(values.values()) / total


def price_variation(lines: Sequence[Line]) -> float | None:
    """Give the spread of the prices of all pieces over their mean (coefficient of variation).

    0 when every piece costs the same; None when there is no price above 0.

    >>> price_variation([("a", None, 1, 100), ("b", None, 1, 300)])
    0.5
    """
    pieces = sum([quantity for _, _, quantity, _ in lines])
    if not pieces:
        return None
    mean = _value(lines) / pieces
    if not mean:
        return None
    spread = sum([quantity * (price - mean) ** 2 for _, _, quantity, price in lines])
    return sqrt(spread / pieces) / mean


def largest_quantity(lines: Sequence[Line]) -> int | None:
    """Give the most pieces of one sku, over all of its lines.

    >>> largest_quantity([("a", None, 2, 1), ("b", None, 3, 1), ("a", None, 2, 1)])
    4
    """
    pieces: dict[str, int] = {}
    for sku, _, quantity, _ in lines:
        pieces[sku] = pieces.get(sku, 0) + quantity
    return max(pieces.values()) if pieces else None


def _value(lines: Sequence[Line]) -> int:
    return sum([quantity * price for _, _, quantity, price in lines])
