"""What is a mined condition, as CEL writes it and as a column answers it?

Invariant: a condition holds for an event exactly when its CEL is true: a fact without a value
makes neither true.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from features.fields import Value
from rules.cel_problems import KNOWN
from rules.parameters import literal_of
from training.suggest.presence import part_of

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, order=True)
class Column:
    """One input of mining: a fact, or whether a text fact is one certain word."""

    fact: str
    kind: str  # int, double, bool or string
    word: str = ""


@dataclass(frozen=True, slots=True, order=True)
class Condition:
    """One comparison of a column: `>=` or `<=` a number; `is` and `not` for bools and words."""

    column: Column
    operator: str
    value: float = 0.0

    @property
    def number(self) -> int | float:
        """The threshold as its fact has it: whole for counters."""
        return int(self.value) if self.column.kind == "int" else float(self.value)

    def cel(self, threshold: str = "") -> str:
        """Return the comparison, with a placeholder instead of its number where one is given.

        >>> Condition(Column("user_orders_7d", "int"), ">=", 3).cel()
        'user_orders_7d >= 3'
        >>> Condition(Column("order.channel", "string", "live"), "not").cel()
        'order.channel != "live"'
        """
        fact = self.column.fact
        if self.column.kind == "bool":
            return fact if self.operator == "is" else f"!{fact}"
        if self.column.kind == "string":
            sign = "==" if self.operator == "is" else "!="
            return f"{fact} {sign} {literal_of(self.column.word)}"
        return f"{fact} {self.operator} {threshold or literal_of(self.number)}"

    @property
    def guard(self) -> str:
        """What is asked first, so that an event without the fact is no gap: a part, or `known.`."""
        fact = self.column.fact
        if "." in fact or fact.startswith("event_"):
            return f"{KNOWN}{fact}"
        return part_of(fact) or ""

    def holds(self, values: npt.NDArray[np.float64]) -> Mask:
        """Return where the column's values meet it; nan never does."""
        found: Mask
        if self.operator in ("is", "not"):
            found = values == (1.0 if self.operator == "is" else 0.0)
        else:
            found = values >= self.value if self.operator == ">=" else values <= self.value
        return found

    def just_outside(self) -> Value | None:
        """Return a value near the threshold that does not meet it; None where none is known."""
        if self.column.kind == "bool":
            return self.operator == "not"
        step = -1 if self.operator == ">=" else 1
        if self.column.kind == "int":
            return int(self.value) + step
        if self.column.kind == "double":
            return float(self.value) + step * max(abs(float(self.value)) * 0.1, 0.01)
        return None if self.operator == "not" else f"not_{self.column.word}"


@dataclass(frozen=True, slots=True, order=True)
class Conjunction:
    """Conditions that must all hold, one or two a column, in order."""

    conditions: tuple[Condition, ...]

    @classmethod
    def of(cls, conditions: list[Condition]) -> Conjunction:
        """Keep the tightest of conditions that say the same of one column.

        >>> orders = Column("user_orders_7d", "int")
        >>> Conjunction.of([Condition(orders, ">=", 2), Condition(orders, ">=", 5)]).cel()
        'has_user && user_orders_7d >= 5'
        """
        tightest: dict[tuple[Column, str], Condition] = {}
        for one in conditions:
            other = tightest.get((one.column, one.operator))
            choose = max if one.operator == ">=" else min
            tightest[one.column, one.operator] = choose(one, other) if other else one
        return cls(tuple(sorted(tightest.values())))

    def without(self, condition: Condition) -> Conjunction:
        """Return the conjunction less one condition."""
        return Conjunction(tuple(one for one in self.conditions if one is not condition))

    def cel(self, thresholds: Mapping[Condition, str] | None = None) -> str:
        """Return the whole as CEL, what must be there first before each condition."""
        parts: dict[str, None] = {}
        for one in self.conditions:
            if one.guard:
                parts.setdefault(one.guard)
            parts.setdefault(one.cel((thresholds or {}).get(one, "")))
        return " && ".join(parts)

    @property
    def facts(self) -> tuple[str, ...]:
        """The facts that it compares."""
        return tuple(dict.fromkeys(one.column.fact for one in self.conditions))

    def describe(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {"when": self.cel(), "facts": list(self.facts)}
