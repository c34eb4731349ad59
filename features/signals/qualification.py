"""Which papers does an offer need, and which of them are missing?

Groups, papers and their legal sources stand in qualification.yaml.
Invariant: nothing raises on any text; goods of no group need no papers that this table knows.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

import yaml

from features.signals.wording import Words, plain

_PATH = Path(__file__).with_name("qualification.yaml")
Alternatives = tuple[str, ...]
CATEGORIES_KEPT = 4096  # as many as baskets remember


class Group(NamedTuple):
    """Goods that the law asks papers for: one kind of each list, from the merchant or the goods."""

    name: str
    words: Words
    licences: tuple[Alternatives, ...]
    certificates: tuple[Alternatives, ...]
    source: str


class _Table(NamedTuple):
    groups: tuple[Group, ...]
    prohibited: Words


@lru_cache(maxsize=CATEGORIES_KEPT)
def group_of(category: str) -> Group | None:
    """Give the group of a category, None where no paper is asked for.

    >>> group_of("母婴/婴幼儿配方奶粉").name, group_of("Toys").name, group_of("手机壳") is None
    ('infant_formula', 'toy', True)
    """
    text = plain(category)
    return next((group for group in _table().groups if group.words.found(text)), None)


def missing(needed: Sequence[Alternatives], stated: Collection[str]) -> list[str]:
    """Give the first kind of each list of which none was stated.

    >>> missing([("ccc",), ("network_access_licence", "type_approval")], {"type_approval"})
    ['ccc']
    """
    return [kinds[0] for kinds in needed if not any(kind in stated for kind in kinds)]


def is_prohibited(text: str) -> bool:
    """Say whether a text names goods that may not be sold on the internet.

    >>> is_prohibited("电子 烟/一次性"), is_prohibited("Vape pens"), is_prohibited("天津大麻花")
    (True, True, False)
    """
    return bool(_table().prohibited.found(plain(text)))


def groups() -> tuple[Group, ...]:
    """Give every group, in the order in which a category is compared with them."""
    return _table().groups


def warm() -> None:
    """Read the table."""
    _table()


@cache
def _table() -> _Table:
    tree = yaml.safe_load(_PATH.read_text("utf-8"))
    made = tuple(
        Group(
            name,
            Words(row["words"], tree["exceptions"]),
            tuple(map(tuple, row["licences"])),
            tuple(map(tuple, row["certificates"])),
            row["source"],
        )
        for name, row in tree["groups"].items()
    )
    prohibited = tree["prohibited"]
    return _Table(made, Words(prohibited["words"], prohibited["exceptions"]))
