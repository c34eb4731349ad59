"""Which short conjunctions tell abuse from honest events?

A forest of shallow trees (scikit-learn); every path from a root to a node that is richer in abuse
than the whole is a candidate. What skope-rules does, without its one restriction: facts here may be
unknown. Invariant: the same table gives the same candidates.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from training.suggest.conditions import Column, Condition, Conjunction
from training.suggest.table import Table

TREES = 60
# Three conditions are what a person reads at a glance; more fit the sample and not the next month.
MOST_CONDITIONS = 3
# More rows change thresholds by less than they are rounded.
_ROWS_OF_TREE = 50_000
_SHARE_OF_COLUMNS = 0.35


def mine(table: Table, seed: int = 0) -> set[Conjunction]:
    """Return the candidates that a table suggests; none where it holds one class only."""
    if not table.columns or table.is_abusive.all() or not table.is_abusive.any():
        return set()
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(
        n_estimators=TREES,
        max_depth=MOST_CONDITIONS,
        max_features=_SHARE_OF_COLUMNS,
        min_samples_leaf=max(3, table.rows // 5_000),
        class_weight="balanced",
        max_samples=min(1.0, _ROWS_OF_TREE / table.rows),
        n_jobs=2,
        random_state=seed,
    ).fit(table.numbers, table.is_abusive)
    return {
        found
        for tree in forest.estimators_
        for found in _paths(tree.tree_, table.columns)
        if found.conditions
    }


def _paths(tree: Any, columns: tuple[Column, ...]) -> Iterator[Conjunction]:
    """Yield the path to each node in which abuse, weighted to a half, is the larger part."""
    open_nodes: list[tuple[int, list[Condition]]] = [(0, [])]
    while open_nodes:
        node, path = open_nodes.pop()
        honest, abusive = tree.value[node][0]
        if path and abusive > honest:
            yield Conjunction.of(path)
        if tree.children_left[node] == tree.children_right[node]:  # a leaf
            continue
        column, threshold = columns[tree.feature[node]], float(tree.threshold[node])
        for child, is_left in (
            (tree.children_left[node], True),
            (tree.children_right[node], False),
        ):
            condition = _condition(column, threshold, is_left=is_left)
            open_nodes.append((int(child), [*path, condition] if condition else path))


def _condition(column: Column, threshold: float, *, is_left: bool) -> Condition | None:
    """Return what a branch asks for; None for one that asks only whether the fact is known."""
    if not math.isfinite(threshold):
        return None
    if column.kind in ("bool", "string"):
        return Condition(column, "not" if is_left else "is")
    operator = "<=" if is_left else ">="
    if column.kind == "int":
        whole = math.floor(threshold) + (0 if is_left else 1)
        return Condition(column, operator, _round_whole(whole, up=not is_left))
    return Condition(column, operator, _round(threshold))


def _round_whole(number: int, *, up: bool) -> int:
    """Return a whole number as people write it: amounts and seconds with two digits.

    >>> _round_whole(17, up=True), _round_whole(86417, up=True), _round_whole(49999, up=False)
    (17, 87000, 49000)
    """
    digits = len(str(abs(number)))
    if digits <= 2:
        return number
    unit = 10 ** (digits - 2)
    whole = math.ceil(number / unit) if up else math.floor(number / unit)
    return int(whole * unit)


def _round(number: float) -> float:
    """Return a number with two digits that count.

    >>> _round(0.123456), _round(86417.3)
    (0.12, 86000.0)
    """
    return float(f"{number:.2g}")
