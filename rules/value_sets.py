"""Which values of a fact does a condition hold for?

Numbers are sets of stretches, texts and bools are sets of names or of all but some. Invariant: the
sets are exact: two conditions that share no value have an empty intersection, and none other.

A number's cut is (value, 0) just below it or (value, 1) just above it; a set of numbers is the
sorted cuts at which it begins and ends. Whole numbers are cut below only, so `> 3` is `>= 4`.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass

Cut = tuple[float, int]
BOTTOM: Cut = (-math.inf, 0)
TOP: Cut = (math.inf, 1)


@dataclass(frozen=True, slots=True)
class Numbers:
    """A set of numbers, or of whole numbers.

    >>> few = Numbers.compared("<", 3, is_whole=True)
    >>> few & Numbers.compared(">", 1, is_whole=True)
    Numbers(cuts=((2, 0), (3, 0)), is_whole=True)
    >>> str(few | Numbers.compared("==", 7, is_whole=True))
    'up to 2, 7'
    """

    cuts: tuple[Cut, ...]
    is_whole: bool

    @classmethod
    def every(cls, is_whole: bool) -> Numbers:
        """Return the set of all numbers."""
        return cls((BOTTOM, TOP), is_whole)

    @classmethod
    def compared(cls, operator: str, value: float, *, is_whole: bool) -> Numbers:
        """Return the numbers x with `x <operator> value`; operators as in CEL."""
        below, above = (value, 0), (value + 1, 0) if is_whole else (value, 1)
        cuts: dict[str, tuple[Cut, ...]] = {
            "<": (BOTTOM, below),
            "<=": (BOTTOM, above),
            ">": (above, TOP),
            ">=": (below, TOP),
            "==": (below, above),
            "!=": (BOTTOM, below, above, TOP),
        }
        return cls(cuts[operator], is_whole)

    def __and__(self, other: Numbers) -> Numbers:
        return self._combined(other, lambda here, there: here and there)

    def __or__(self, other: Numbers) -> Numbers:
        return self._combined(other, lambda here, there: here or there)

    def __invert__(self) -> Numbers:
        everything = (BOTTOM, TOP)
        cuts = tuple(sorted(set(self.cuts).symmetric_difference(everything)))
        return Numbers(cuts, self.is_whole)

    @property
    def is_empty(self) -> bool:
        """Whether there is no number in it."""
        return not self.cuts

    @property
    def inner_cuts(self) -> tuple[Cut, ...]:
        """The cuts between numbers, without the two ends of all."""
        return tuple(cut for cut in self.cuts if cut not in (BOTTOM, TOP))

    def _holds_after(self, cut: Cut) -> bool:
        return bisect_right(self.cuts, cut) % 2 == 1

    def _combined(self, other: Numbers, rule: Callable[[bool, bool], bool]) -> Numbers:
        kept: list[Cut] = []
        is_inside = False
        for cut in sorted({*self.cuts, *other.cuts}):
            holds = cut != TOP and rule(self._holds_after(cut), other._holds_after(cut))
            if holds != is_inside:
                kept.append(cut)
                is_inside = holds
        return Numbers(tuple(kept), self.is_whole)

    def __str__(self) -> str:
        pairs = zip(self.cuts[::2], self.cuts[1::2], strict=True)
        return ", ".join(self._stretch(*pair) for pair in pairs)

    def _stretch(self, low: Cut, high: Cut) -> str:
        first, last = low[0], high[0] - 1 if self.is_whole else high[0]
        if low == BOTTOM and high == TOP:
            return "any number"
        if low == BOTTOM:
            return f"up to {last}" if self.is_whole or high[1] else f"below {last}"
        if high == TOP:
            return f"{first} or more" if not low[1] else f"above {first}"
        if first == last:
            return str(first)
        if self.is_whole:
            return f"{first} to {last}"
        return f"{'(' if low[1] else '['}{first}..{last}{']' if high[1] else ')'}"


@dataclass(frozen=True, slots=True)
class Names:
    """A set of texts or bools: those named, or all but those.

    >>> str(~Names.of(["a", "b"]) & ~Names.of(["c"]))
    'anything but "a", "b", "c"'
    >>> (Names.of([True]) & ~Names.of([True])).is_empty
    True
    """

    names: frozenset[str | bool]
    is_all_but: bool = False

    @classmethod
    def of(cls, names: Iterable[str | bool]) -> Names:
        """Return the set of these."""
        return cls(frozenset(names))

    def __and__(self, other: Names) -> Names:
        if self.is_all_but and other.is_all_but:
            return Names(self.names | other.names, is_all_but=True)
        if self.is_all_but:
            return Names(other.names - self.names)
        return Names(self.names - other.names if other.is_all_but else self.names & other.names)

    def __or__(self, other: Names) -> Names:
        return ~(~self & ~other)

    def __invert__(self) -> Names:
        if self.names and all(isinstance(name, bool) for name in self.names):
            return Names(frozenset({True, False}) - self.names)
        return Names(self.names, is_all_but=not self.is_all_but)

    @property
    def is_empty(self) -> bool:
        """Whether there is no value in it."""
        return not self.names and not self.is_all_but

    def __str__(self) -> str:
        listed = ", ".join(sorted(json.dumps(name, ensure_ascii=False) for name in self.names))
        return f"anything but {listed}" if self.is_all_but and listed else listed or "anything"


ValueSet = Numbers | Names


def shared(left: ValueSet, right: ValueSet) -> ValueSet:
    """Return what both hold; sets of different kinds share nothing."""
    if isinstance(left, Numbers) and isinstance(right, Numbers):
        return left & right
    if isinstance(left, Names) and isinstance(right, Names):
        return left & right
    return Names(frozenset())


def overlap(left: ValueSet, right: ValueSet) -> bool:
    """Say whether some value is in both."""
    if isinstance(left, Numbers) and isinstance(right, Numbers):
        one, two = left.cuts, right.cuts
        if len(one) == len(two) == 2:
            return max(one[0], two[0]) < min(one[1], two[1])
    return not shared(left, right).is_empty


def joined(left: ValueSet, right: ValueSet) -> ValueSet:
    """Return what either holds; both must be of one kind."""
    return ~shared(~left, ~right)
