"""Which words does an offer use that the law on advertising forbids?

The words and their sources stand in wording.yaml. Invariant: nothing raises on any text; blanks and
marks between Chinese characters hide no word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import yaml

from features.entities import folded

_PATH = Path(__file__).with_name("wording.yaml")
_STATUTORY, _EXCEPTIONS = "statutory", "exceptions"
# What is put between two characters so that a filter does not see the word: blanks, joiners, marks.
_BETWEEN = re.compile(
    r"(?<=[\u4e00-\u9fff])[\s*·•_~^|\-\u200b-\u200f\u2060\ufeff]+(?=[\u4e00-\u9fff])"
)
_LATIN = re.compile(r"[a-z0-9]")
_ALONE = r"(?<![a-z0-9].)"  # after the first letter, for a pattern that begins with it is fast
# One event asks for the words of one offer a dozen times.
OFFERS_KEPT = 32
Claims = Mapping[str, tuple[str, ...]]


class Words:
    """Terms to look for in texts; longer phrases in which they mean something else are spared."""

    __slots__ = ("_pattern", "_terms")

    def __init__(self, terms: Iterable[str], exceptions: Iterable[str] = ()) -> None:
        self._terms = frozenset(map(plain, terms))
        self._pattern = re.compile(_alternatives({*self._terms, *map(plain, exceptions)}))

    def found(self, text: str) -> tuple[str, ...]:
        """Give each different term in a text that `plain` prepared, in the order of the text.

        >>> Words(["最佳", "the best"], ["最佳食用期"]).found("最佳食用期内口感最佳，the best")
        ('最佳', 'the best')
        """
        hits = (match[0] for match in self._pattern.finditer(text))
        return tuple(dict.fromkeys(hit for hit in hits if hit in self._terms))


class _Lexicon(NamedTuple):
    """The law's own words are looked for by themselves, so that no longer phrase hides one."""

    statutory: Words
    others: Words
    kinds: Mapping[str, str]


def plain(text: str) -> str:
    """Give one spelling of a text: NFKC, no case, single spaces, nothing hidden between characters.

    >>> plain("全国 第·一 NO.１")
    '全国第一 no.1'
    """
    return _BETWEEN.sub("", folded(text))


@lru_cache(maxsize=OFFERS_KEPT)
def claims(title: str, description: str) -> Claims:
    """Give the different forbidden terms of an offer by their kind; a kind without any is absent.

    Kinds: statutory, absolute, disease, guarantee, state, yield and breast_milk.

    >>> dict(claims("国家级 顶级 茶", "根治高血压"))
    {'statutory': ('国家级',), 'absolute': ('顶级',), 'disease': ('根治', '高血压')}
    """
    text = plain(f"{title}\n{description}")
    lexicon = _lexicon()
    found: dict[str, tuple[str, ...]] = {}
    for words in (lexicon.statutory, lexicon.others):
        for term in words.found(text):
            kind = lexicon.kinds[term]
            found[kind] = (*found.get(kind, ()), term)
    return MappingProxyType(found)


def warm() -> None:
    """Read the words."""
    _lexicon()


@cache
def _lexicon() -> _Lexicon:
    tree = yaml.safe_load(_PATH.read_text("utf-8"))
    spared = tree.pop(_EXCEPTIONS)
    kinds = {plain(term): kind for kind, row in tree.items() for term in row["terms"]}
    statutory = [term for term, kind in kinds.items() if kind == _STATUTORY]
    others = [term for term, kind in kinds.items() if kind != _STATUTORY]
    return _Lexicon(Words(statutory, spared), Words(others, spared), MappingProxyType(kinds))


def _alternatives(phrases: Iterable[str]) -> str:
    """Write phrases as one pattern, the longest first, by their first character.

    So a place in a text whose character begins no phrase costs one look: 16,000 characters are
    searched in 0.6 ms, and in 9 ms with a flat list.
    """
    by_first: dict[str, list[str]] = {}
    for phrase in sorted(phrases, key=len, reverse=True):
        after = r"(?![a-z0-9])" if _LATIN.match(phrase[-1]) else ""
        by_first.setdefault(phrase[0], []).append(re.escape(phrase[1:]) + after)
    return "|".join(
        f"{re.escape(first)}{_ALONE if _LATIN.match(first) else ''}(?:{'|'.join(rest)})"
        for first, rest in sorted(by_first.items())
    )
