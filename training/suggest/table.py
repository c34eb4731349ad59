"""What is known of the labelled events of one type, as columns?

Numbers as they are, bools as 0 and 1, texts as one column for each usual word; what is unknown is
nan. Invariant: no tag, no name and no time of a person is among the columns: only declared facts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from features.fields import Value
from rules.decision import HitStatus
from rules.engine import Engine
from service.backtest.case import ABUSE, Case
from training.suggest.conditions import Column, Conjunction, Mask
from training.suggest.presence import with_parts

# Who a fact is about, and what says nothing: `payment.bin` is a part of a card number.
NEVER = frozenset({"event.type", "payment.bin"})
# A word needs this share of the events, and no more than so many words become columns.
_SHARE_OF_WORD = 0.01
_MOST_WORDS = 12


@dataclass(slots=True)
class Reading:
    """Collects the cases of one event type; `engine` is that of the rules that are live."""

    event_type: str
    fact_types: Mapping[str, str]
    engine: Engine
    exclude: frozenset[str] = frozenset()
    _values: dict[str, list[Value | None]] = field(default_factory=dict)
    _labels: list[bool] = field(default_factory=list)
    _times: list[int] = field(default_factory=list)
    _hits: dict[str, list[int]] = field(default_factory=dict)

    def add(self, cases: Iterable[Case]) -> None:
        """Take the labelled cases of this type."""
        if not self._values:
            self._values = {
                name: []
                for name in self.fact_types
                if name not in NEVER
                and name not in self.exclude
                and not name.startswith(("has_", "list."))
            }
        for case in cases:
            if case.label is None or case.event_type != self.event_type:
                continue
            for name, values in self._values.items():
                values.append(case.facts.get(name))
            facts = with_parts(case.facts, self.fact_types)
            for hit in self.engine.evaluate(self.event_type, facts):
                if hit.status is HitStatus.HIT and hit.precedence != "allow":
                    self._hits.setdefault(hit.rule_id, []).append(len(self._labels))
            self._labels.append(case.label == ABUSE)
            self._times.append(case.observed_ms)

    def table(self) -> Table:
        """Return the columns that tell events apart, in order of time."""
        times = np.array(self._times, dtype=np.int64)
        order = np.argsort(times, kind="stable")
        columns: list[Column] = []
        numbers: list[npt.NDArray[np.float64]] = []
        for name in sorted(self._values):
            values = self._values[name]
            for column, told in _columns(name, self.fact_types[name], values):
                known = told[~np.isnan(told)]
                if known.size and (known != known[0]).any():
                    columns.append(column)
                    numbers.append(told[order])
        hits = {}
        for rule, places in self._hits.items():
            hit = np.zeros(len(times), dtype=np.bool_)
            hit[places] = True
            hits[rule] = hit[order]
        return Table(
            event_type=self.event_type,
            columns=tuple(columns),
            numbers=np.column_stack(numbers) if numbers else np.empty((len(times), 0)),
            is_abusive=np.array(self._labels, dtype=np.bool_)[order],
            times=times[order],
            live_hits=hits,
        )


@dataclass(frozen=True, slots=True)
class Table:
    """Labelled events of one type, the oldest first. `live_hits`: rule id -> where it hit."""

    event_type: str
    columns: tuple[Column, ...]
    numbers: npt.NDArray[np.float64]
    is_abusive: Mask
    times: npt.NDArray[np.int64]
    live_hits: Mapping[str, Mask]

    @property
    def rows(self) -> int:
        """How many events there are."""
        return len(self.times)

    def split(self, later_share: float) -> tuple[Table, Table]:
        """Return the earlier and the later events; those of one moment stay together."""
        at = min(max(round(self.rows * (1 - later_share)), 0), self.rows)
        if at < self.rows:
            at = int(np.searchsorted(self.times, self.times[at]))
        return self._part(slice(0, at)), self._part(slice(at, None))

    def _part(self, rows: slice) -> Table:
        return Table(
            self.event_type,
            self.columns,
            self.numbers[rows],
            self.is_abusive[rows],
            self.times[rows],
            {rule: hit[rows] for rule, hit in self.live_hits.items()},
        )

    def holds(self, conjunction: Conjunction) -> Mask:
        """Return where all its conditions hold."""
        found: Mask = np.ones(self.rows, dtype=np.bool_)
        for one in conjunction.conditions:
            found &= one.holds(self.numbers[:, self.columns.index(one.column)])
        return found

    def facts(self, row: int, names: Sequence[str]) -> dict[str, Value] | None:
        """Return the facts of an event as a rule would see them; None if one is unknown."""
        found: dict[str, Value] = {}
        for column, number in zip(self.columns, self.numbers[row].tolist(), strict=True):
            if column.fact not in names:
                continue
            if number != number:
                return None
            if column.kind == "string":
                if number == 1.0:
                    found[column.fact] = column.word
                found.setdefault(column.fact, "other")
            else:
                found[column.fact] = {"int": int, "double": float, "bool": bool}[column.kind](
                    number
                )
        return found


def _columns(
    name: str, kind: str, values: Sequence[Any]
) -> Iterable[tuple[Column, npt.NDArray[np.float64]]]:
    if kind != "string":
        numbers = [np.nan if value is None else float(value) for value in values]
        yield Column(name, kind), np.array(numbers, dtype=np.float64)
        return
    counted = Counter(value for value in values if value is not None)
    for word, count in counted.most_common(_MOST_WORDS):
        if count >= _SHARE_OF_WORD * len(values):
            told = [np.nan if value is None else float(value == word) for value in values]
            yield Column(name, kind, word), np.array(told, dtype=np.float64)
