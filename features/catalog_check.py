"""Do the rows of a catalog make sense together?

Names, entities, measures, windows, filters and references; each problem names the row and, where
something near exists, what was probably meant.
Invariant: when nothing was reported, the catalog compiles without further checks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from features.catalog_filters import BadFilter, Filter, filter_environment
from features.catalog_rows import SECTIONS, Report, Row, duration_ms
from features.entities import ENTITY_KINDS
from features.event_features import EVENT_FUNCTIONS
from features.event_types import EVENT_TYPES
from features.fields import FIELD_TYPES
from features.problems import did_you_mean

MEASURES = ("count", "sum", "distinct", "first_seen", "last_seen")
# What a decision can pay for within its time: 24 series are about 0.12 ms of Valkey.
MAX_SERIES_PER_ENTITY = 6
MAX_SERIES_PER_EVENT = 24
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)+")


@dataclass(frozen=True, slots=True)
class CheckedRows:
    """The rows by section, with the compiled filter of each series that has one."""

    sections: Mapping[str, tuple[Row, ...]]
    filters: Mapping[str, Filter]

    def section(self, name: str) -> tuple[Row, ...]:
        return self.sections[name]

    @staticmethod
    def windows_ms(row: Row) -> tuple[int, ...]:
        """Give the windows of a series in milliseconds, shortest first."""
        return tuple(sorted(duration_ms(text) or 0 for text in row.values["windows"]))

    @classmethod
    def features_of(cls, row: Row) -> list[tuple[str, str]]:
        """Give (name, type) of each fact of a series, shortest window first."""
        if row.values["measure"] in ("first_seen", "last_seen"):
            names = [(f"{row.name}_seconds", "double")]
            if row.values["measure"] == "first_seen":
                names.append((cls.is_new_name(row.name), "bool"))
            return names
        windows = sorted(row.values["windows"], key=lambda text: duration_ms(text) or 0)
        return [(f"{row.name}_{window}", "int") for window in windows]

    @staticmethod
    def is_new_name(series: str) -> str:
        """Name the fact that an entity was never seen: device_first_seen -> device_is_new."""
        return series.removesuffix("_first_seen") + "_is_new"


def check_rows(rows: Sequence[Row], report: Report) -> CheckedRows:
    """Check every row, and report every problem."""
    sections = {name: tuple(r for r in rows if r.section == name) for name in SECTIONS}
    filters: dict[str, Filter] = {}
    environment = filter_environment()
    compiled: dict[str, Filter] = {}
    for row in sections["series"]:
        _check_series(row, report)
        source = row.values.get("where")
        if source is not None:
            try:
                if source not in compiled:
                    compiled[source] = Filter(source, environment)
                filters[row.name] = compiled[source]
            except BadFilter as error:
                report.add_row(row, f"`where` {error}")
    for row in sections["fields"]:
        _check_field(row, report)
    for row in sections["event_features"]:
        _check_event_feature(row, report)
    checked = CheckedRows(sections, filters)
    if not report.problems:
        _check_derived(checked, report)
        _check_cost(sections["series"], report)
    return checked


def _one_of(row: Row, key: str, value: str, known: Sequence[str], report: Report) -> bool:
    if value in known:
        return True
    hint = did_you_mean(value, known) or f" Known: {', '.join(known)}."
    report.add_row(row, f"`{key}` has the unknown value `{value}`.{hint}")
    return False


def _check_series(row: Row, report: Report) -> None:
    values = row.values
    if _one_of(row, "entity", values["entity"], list(ENTITY_KINDS), report):
        word = ENTITY_KINDS[values["entity"]][1]
        if not _NAME.fullmatch(row.name) or not row.name.startswith(word + "_"):
            report.add_row(row, f"the name must be lower_case and begin with `{word}_`")
    for key in ("events", "read_by"):
        for name in values.get(key, ()):
            _one_of(row, key, name, list(EVENT_TYPES), report)
    if both := set(values["events"]) & set(values.get("read_by", ())):
        report.add_row(row, f"`read_by` repeats {', '.join(sorted(both))}: `events` read, too")
    if _one_of(row, "measure", values["measure"], MEASURES, report):
        _check_of(row, report)
        _check_windows(row, report)


def _check_of(row: Row, report: Report) -> None:
    measure, of = row.values["measure"], row.values.get("of")
    if measure == "sum":
        amounts = [name for name, kind in FIELD_TYPES.items() if kind == "int"]
        _one_of(row, "of", of or "", amounts, report)
    elif measure == "distinct":
        if of == row.values["entity"]:
            report.add_row(row, f"`of` is the entity itself: there is only ever one {of}")
        _one_of(row, "of", of or "", [*ENTITY_KINDS, *FIELD_TYPES], report)
    elif of is not None:
        report.add_row(row, f"`of` has no meaning for the measure {measure}")


def _check_windows(row: Row, report: Report) -> None:
    windows = row.values["windows"]
    for text in windows:
        if duration_ms(text) is None:
            report.add_row(row, f"`{text}` is not a window; write 60s, 10m, 24h or 7d")
    if len({duration_ms(text) for text in windows}) != len(windows):
        report.add_row(row, "the same window appears twice")
    is_seen = row.values["measure"] in ("first_seen", "last_seen")
    if is_seen and not (len(windows) == 1 and row.name.endswith("_" + row.values["measure"])):
        text = f"the name must end with `_{row.values['measure']}`, and there must be one window"
        report.add_row(row, text + " (how long it is kept)")


def _check_field(row: Row, report: Report) -> None:
    if _one_of(row, "name", row.name, list(FIELD_TYPES), report):
        declared, real = row.values["type"], FIELD_TYPES[row.name]
        if declared != real:
            report.add_row(row, f"the type is {real}, not {declared}")
        elif real == "string" and row.values.get("model"):
            report.add_row(row, "a text cannot be an input of the model")


def _check_event_feature(row: Row, report: Report) -> None:
    if not row.name.startswith("event_") or not _NAME.fullmatch(row.name):
        report.add_row(row, "the name must be lower_case and begin with `event_`")
    if _one_of(row, "function", row.values["function"], list(EVENT_FUNCTIONS), report):
        declared, real = row.values["type"], EVENT_FUNCTIONS[row.values["function"]].type
        if declared != real:
            report.add_row(row, f"the type is {real}, not {declared}")


def _check_derived(checked: CheckedRows, report: Report) -> None:
    series = checked.section("series")
    known = [name for row in series for name, _ in checked.features_of(row)]
    for name in {name for name in known if known.count(name) > 1}:
        report.add(0, name, "two series give a feature of this name")
    for row in checked.section("derived"):
        if not _NAME.fullmatch(row.name) or row.name in known:
            report.add_row(row, "the name must be lower_case, and not that of a velocity feature")
        for key in ("numerator", "denominator"):
            _one_of(row, key, row.values[key], known, report)


def _check_cost(series: Sequence[Row], report: Report) -> None:
    for event_type in EVENT_TYPES:
        touched = [
            row
            for row in series
            if event_type in (*row.values["events"], *row.values.get("read_by", ()))
        ]
        if len(touched) > MAX_SERIES_PER_EVENT:
            text = f"{event_type} reads {len(touched)} series; {MAX_SERIES_PER_EVENT} are the most"
            report.add_row(touched[-1], text)
        for kind in ENTITY_KINDS:
            of_kind = [row for row in touched if row.values["entity"] == kind]
            if len(of_kind) > MAX_SERIES_PER_ENTITY:
                text = f"{event_type} reads {len(of_kind)} series of one {kind}"
                report.add_row(of_kind[-1], f"{text}; {MAX_SERIES_PER_ENTITY} are the most")
            seen = [row for row in of_kind if row.values["measure"] == "first_seen"]
            if seen and all(row.values["measure"].endswith("_seen") for row in of_kind):
                report.add_row(seen[0], f"{event_type} needs a count, sum or distinct beside it")
