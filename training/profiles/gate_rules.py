"""Which gates does a build have to pass? Those that the limits of `gates.yaml` and the schema give.

Each gate is a sentence and the expectation that says the same to Great Expectations.
Invariant: every field of every view has a gate for its type, its range and its share of nulls.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from features.profiles.schema import RFM_SEGMENTS, ProfileView
from training.profiles.layout import Build

_HOUR_MS = 3_600_000
_TYPES = {"int": "int64", "double": "float64", "string": "str", "bool": "bool"}


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate: words, and the expectation that says the same to Great Expectations."""

    kind: str
    text: str
    expectation: Any


def row_gates(view: ProfileView, limits: Mapping[str, Any]) -> list[Gate]:
    """What every row must keep, those for training too."""
    gxe = _expectations()
    columns = [view.entity, "event_timestamp", "created", *(field.name for field in view.fields)]
    gates = [
        Gate(
            "schema",
            "the columns are those of the schema, in its order",
            gxe.ExpectTableColumnsToMatchOrderedList(column_list=columns),
        ),
        Gate(
            "schema",
            f"one row for each {view.entity} and time",
            gxe.ExpectCompoundColumnsToBeUnique(column_list=[view.entity, "event_timestamp"]),
        ),
    ]
    for field in view.fields:
        if field.type != "string":
            low, high = limits["ranges"][field.name]
            gates.append(
                Gate(
                    "ranges",
                    f"{field.name} is between {low:,} and {high:,}",
                    gxe.ExpectColumnValuesToBeBetween(
                        column=field.name, min_value=low, max_value=high
                    ),
                )
            )
    names = {field.name for field in view.fields}
    for smaller, larger in limits["never_above"]:
        if {smaller, larger} <= names:
            gates.append(
                Gate(
                    "ranges",
                    f"{smaller} is never above {larger}",
                    gxe.ExpectColumnPairValuesAToBeGreaterThanB(
                        column_A=larger,
                        column_B=smaller,
                        or_equal=True,
                        ignore_row_if="either_value_is_missing",
                    ),
                )
            )
    if "rfm_segment_name" in names:
        gates.append(
            Gate(
                "ranges",
                "rfm_segment_name is one of the segments",
                gxe.ExpectColumnValuesToBeInSet(
                    column="rfm_segment_name", value_set=list(RFM_SEGMENTS)
                ),
            )
        )
    return gates


def profile_gates(view: ProfileView, limits: Mapping[str, Any], build: Build) -> list[Gate]:
    """What the profiles of the build's own time must keep: those that are materialised."""
    gxe = _expectations()
    expected = build.views[view.name].profiles
    gates = [
        Gate(
            "schema",
            f"there are the {expected:,} profiles that were built",
            gxe.ExpectTableRowCountToEqual(value=expected),
        ),
        Gate("volume", "there is a profile", gxe.ExpectTableRowCountToBeBetween(min_value=1)),
        Gate(
            "schema",
            f"{view.entity} is there",
            gxe.ExpectColumnValuesToNotBeNull(column=view.entity),
        ),
    ]
    for field in view.fields:
        gates.append(
            Gate(
                "schema",
                f"{field.name} is {field.type}",
                gxe.ExpectColumnValuesToBeOfType(column=field.name, type_=_TYPES[field.type]),
            )
        )
        share = limits["null_share"].get(field.name, 0.0)
        if share < 1:
            gates.append(
                Gate(
                    "null rates",
                    f"{field.name} is missing in at most {share:.0%} of the profiles",
                    gxe.ExpectColumnValuesToNotBeNull(column=field.name, mostly=1 - share),
                )
            )
    return gates


def build_facts(
    build: Build, before: Build | None, now: datetime, limits: Mapping[str, Any]
) -> dict[str, float | None]:
    """Return what is judged of the build as a whole, by column; None is not asked."""
    facts: dict[str, float | None] = {
        "as_of_age_hours": (now.timestamp() * 1000 - build.as_of_ms) / _HOUR_MS,
        "newest_event_hours": (build.as_of_ms - build.newest_ms) / _HOUR_MS,
    }
    facts["events_ratio"] = None
    for view, counts in build.views.items():
        earlier = None if before is None else before.views[view].profiles
        is_asked = earlier is not None and earlier >= limits["compared_from"]
        facts[f"{view}_ratio"] = counts.profiles / earlier if earlier and is_asked else None
        if before is not None and is_asked:
            facts["events_ratio"] = build.events / before.events
    return facts


def build_gates(facts: Mapping[str, float | None], limits: Mapping[str, Any]) -> list[Gate]:
    words = {
        "as_of_age_hours": ("freshness", "hours from the build's time to now", "as_of_age_hours"),
        "newest_event_hours": (
            "freshness",
            "hours from the newest event to the build's time",
            "newest_event_hours",
        ),
    }
    gates = []
    for name in facts:
        kind, text, limit = words.get(
            name, ("volume", f"{name.removesuffix('_ratio')} against the build in use", None)
        )
        low, high = limits[limit] if limit else limits["volume_ratio"]
        gates.append(Gate(kind, f"{text}: {low:g} to {high:g}", _between(name, low, high)))
    return gates


def _expectations() -> Any:
    import great_expectations.expectations

    return great_expectations.expectations


def _between(column: str, low: float, high: float) -> Any:
    return _expectations().ExpectColumnValuesToBeBetween(
        column=column, min_value=low, max_value=high
    )
