"""Is a build fit to be used? Great Expectations checks it against `gates.yaml`.

Schema, ranges, null rates, freshness, and volume against the build in use.
Invariant: what cannot be checked has failed; nothing here changes a build or the online store.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from features.profiles.schema import VIEWS
from training.profiles.gate_rules import Gate, build_facts, build_gates, profile_gates, row_gates
from training.profiles.layout import Build, Layout

DEFAULT_GATES = Path(__file__).with_name("gates.yaml")


@dataclass(frozen=True, slots=True)
class Finding:
    """What one gate found.

    - `part`: the view, or `build`; `gate`: schema, ranges, null rates, freshness or volume.
    - `text`: what must hold, in words; `seen`: what was found.
    """

    part: str
    gate: str
    text: str
    is_kept: bool
    seen: str


def check_gates(
    layout: Layout,
    build: Build,
    now: datetime,
    path: Path = DEFAULT_GATES,
    progress: Callable[[int], None] | None = None,
) -> list[Finding]:
    """Run every gate on a build and return all findings, good and bad.

    `now` is the time that freshness is judged by.
    """
    limits: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    checker = Checker()
    findings: list[Finding] = []
    for done, view in enumerate(VIEWS.values(), start=1):
        rows = pl.read_parquet(layout.directory(build.name) / f"{view.name}.parquet")
        as_of = datetime.fromtimestamp(build.as_of_ms / 1000, UTC)
        latest = rows.filter(pl.col("event_timestamp") == as_of) if _has_time(rows) else rows
        findings += checker.check(view.name, rows, row_gates(view, limits))
        findings += checker.check(view.name, latest, profile_gates(view, limits, build))
        if progress is not None:
            progress(done)
    before = layout.current()
    facts = build_facts(build, None if before == build else before, now, limits["build"])
    of_build = checker.check("build", pl.DataFrame([facts]), build_gates(facts, limits["build"]))
    return findings + [
        replace(one, seen="not asked" if value is None else f"it is {value:.3g}")
        for one, value in zip(of_build, facts.values(), strict=True)
    ]


def failures(findings: Sequence[Finding]) -> list[str]:
    """Return the gates that were not kept, as sentences."""
    return [
        f"{one.part}, {one.gate}: {one.text}; {one.seen}" for one in findings if not one.is_kept
    ]


class Checker:
    """Great Expectations, in memory, without a project directory and without a word to anybody."""

    def __init__(self) -> None:
        # The switch of its analytics in versions that have any.
        os.environ["GX_ANALYTICS_ENABLED"] = "false"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import great_expectations

            context: Any = great_expectations.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False}
        self._source = context.data_sources.add_pandas("profiles")
        self._runs = 0

    def check(self, part: str, rows: pl.DataFrame, gates: Sequence[Gate]) -> list[Finding]:
        """Check rows against gates, and return a finding for each, in their order."""
        self._runs += 1
        asset = self._source.add_dataframe_asset(f"{part}_{self._runs}")
        batch = asset.add_batch_definition_whole_dataframe("rows").get_batch(
            {"dataframe": _pandas(rows)}
        )
        found = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for gate in gates:
                result = batch.validate(gate.expectation, result_format="SUMMARY")
                found.append(
                    Finding(part, gate.kind, gate.text, result.success is True, _seen(result))
                )
        return found


def _seen(result: Any) -> str:
    """Say what a result saw, in words."""
    seen: dict[str, Any] = dict(result.result or {})
    if "unexpected_count" in seen:
        wrong, total = seen["unexpected_count"], seen["element_count"]
        examples = [
            _shown(value) for value in seen.get("partial_unexpected_list", []) if not _is_nan(value)
        ]
        such = f", such as {', '.join(dict.fromkeys(examples[:3]))}" if examples else ""
        if not wrong:
            return (
                f"all {total:,} rows"
                if not seen.get("missing_count")
                else (
                    f"all {total - seen['missing_count']:,} values; "
                    f"{seen['missing_count']:,} rows have none"
                )
            )
        return f"not so in {wrong:,} of {total:,} rows{such}"
    if "observed_value" in seen:
        return f"found {_shown(seen['observed_value'])}"
    return "this could not be checked"


def _shown(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _is_nan(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _has_time(rows: pl.DataFrame) -> bool:
    return "event_timestamp" in rows.columns


def _pandas(rows: pl.DataFrame) -> Any:
    """Give the rows to pandas without changing a type: whole numbers stay whole beside nulls."""
    import pandas as pd

    kinds = {pl.Int64: "Int64", pl.Boolean: "boolean"}
    return pd.DataFrame(
        {
            column.name: pd.Series(column.to_list(), dtype=kinds[type(column.dtype)])
            if type(column.dtype) in kinds
            else column.to_pandas()
            for column in rows
        }
    )
