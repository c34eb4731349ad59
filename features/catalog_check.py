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
from features.profiles.schema import VIEWS

MEASURES = ("count", "sum", "mean", "min", "max", "distinct", "first_seen", "last_seen")
SHORTEST_MS, LONGEST_MS = 1_000, 400 * 86_400_000
# What a decision can pay for within its time: 24 series are about 0.12 ms of Valkey.
MAX_SERIES_PER_ENTITY = 6
MAX_SERIES_PER_EVENT = 24
# Rule sets may add these to what the catalog declares; together with it, for one entity and in all.
EXTRA_SERIES_PER_ENTITY = 4
EXTRA_SERIES_PER_EVENT = 8
# The words of `rules.decision.Outcome`, which this folder may not import; a test holds them equal.
OUTCOMES = ("approve", "challenge", "review", "decline")
# A total only grows: a field that can be negative has no sum.
SIGNED_FIELDS = frozenset({"device.timezone_offset_minutes"})
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
        kind = "double" if row.values["measure"] == "mean" else "int"
        return [(f"{row.name}_{window}", kind) for window in windows]

    @classmethod
    def retention_ms(cls, row: Row) -> int:
        """Give how long a series is kept: its longest window, or longer where `keep` says so."""
        return max(*cls.windows_ms(row), duration_ms(row.values.get("keep", "")) or 0)

    @staticmethod
    def longest_ms(windows: Sequence[str]) -> int:
        """Give the longest of some windows; one that is none counts as 0."""
        return max(duration_ms(text) or 0 for text in windows)

    @staticmethod
    def is_new_name(series: str) -> str:
        """Name the fact that an entity was never seen: device_first_seen -> device_is_new."""
        return series.removesuffix("_first_seen") + "_is_new"


def check_rows(rows: Sequence[Row], report: Report, *, is_extended: bool = False) -> CheckedRows:
    """Check every row, and report every problem.

    `is_extended`: the rows of rule sets are among them, which may cost something of their own.
    """
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
    for row in sections["profiles"]:
        _check_profile(row, report)
    checked = CheckedRows(sections, filters)
    if not report.problems:
        _check_derived(checked, report)
        _check_cost(sections["series"], report, is_extended=is_extended)
    return checked


def _one_of(row: Row, key: str, value: str, known: Sequence[str], report: Report) -> bool:
    if value in known:
        return True
    hint = did_you_mean(value, known) or f" Known: {', '.join(known)}."
    report.add_row(row, f"`{key}` has the unknown value `{value}`.{hint}")
    return False


def _check_series(row: Row, report: Report) -> None:
    values = row.values
    _check_entity(row, report)
    for key in ("events", "read_by"):
        for name in values.get(key, ()):
            _one_of(row, key, name, list(EVENT_TYPES), report)
    if both := set(values["events"]) & set(values.get("read_by", ())):
        report.add_row(row, f"`read_by` repeats {', '.join(sorted(both))}: `events` read, too")
    for outcome in values.get("outcomes", ()):
        _one_of(row, "outcomes", outcome, OUTCOMES, report)
    if "outcomes" in values and values.get("model"):
        report.add_row(row, "a series of outcomes cannot teach the model: it repeats its answers")
    if _one_of(row, "measure", values["measure"], MEASURES, report):
        _check_of(row, report)
        _check_windows(row, report)


def _check_entity(row: Row, report: Report) -> None:
    kinds = row.values["entity"].split("+")
    known = [_one_of(row, "entity", kind, list(ENTITY_KINDS), report) for kind in kinds]
    if not all(known):
        return
    if len(kinds) > 2 or len(set(kinds)) < len(kinds):
        report.add_row(row, "`entity` is one kind, or two different ones, such as user+device")
    elif kinds != sorted(kinds, key=list(ENTITY_KINDS).index):
        report.add_row(row, f"write the pair as `{kinds[1]}+{kinds[0]}`: one pair, one name")
    word = "_".join(ENTITY_KINDS[kind][1] for kind in kinds)
    if not _NAME.fullmatch(row.name) or not row.name.startswith(word + "_"):
        report.add_row(row, f"the name must be lower_case and begin with `{word}_`")


def _check_of(row: Row, report: Report) -> None:
    measure, of = row.values["measure"], row.values.get("of")
    if measure in ("sum", "mean", "min", "max"):
        signed = SIGNED_FIELDS if measure in ("sum", "mean") else frozenset()
        numbers = [n for n, kind in FIELD_TYPES.items() if kind == "int" and n not in signed]
        _one_of(row, "of", of or "", numbers, report)
    elif measure == "distinct":
        if of in row.values["entity"].split("+"):
            report.add_row(row, f"`of` is the entity itself: there is only ever one {of}")
        _one_of(row, "of", of or "", [*ENTITY_KINDS, *FIELD_TYPES], report)
    elif of is not None:
        report.add_row(row, f"`of` has no meaning for the measure {measure}")


def _check_windows(row: Row, report: Report) -> None:
    windows = row.values["windows"]
    for text in windows:
        if duration_ms(text) is None:
            report.add_row(row, f"`{text}` is not a window; write 60s, 10m, 24h or 7d")
        elif not SHORTEST_MS <= (duration_ms(text) or 0) <= LONGEST_MS:
            report.add_row(row, f"`{text}` is longer than 400d, the longest window")
    if len({duration_ms(text) for text in windows}) != len(windows):
        report.add_row(row, "the same window appears twice")
    keep = row.values.get("keep")
    if keep is not None and not (
        CheckedRows.longest_ms(windows) <= (duration_ms(keep) or 0) <= LONGEST_MS
    ):
        report.add_row(row, "`keep` must be a duration from the longest window to 400d")
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


def _check_profile(row: Row, report: Report) -> None:
    if not row.name.startswith("profile_") or not _NAME.fullmatch(row.name):
        report.add_row(row, "the name must be lower_case and begin with `profile_`")
    if row.values["type"] == "string" and row.values.get("model"):
        report.add_row(row, "a text cannot be an input of the model")
    if not _one_of(row, "view", row.values["view"], list(VIEWS), report):
        return
    fields = {field.name: field.type for field in VIEWS[row.values["view"]].fields}
    if _one_of(row, "field", row.values["field"], list(fields), report):
        declared, real = row.values["type"], fields[row.values["field"]]
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


def _check_cost(series: Sequence[Row], report: Report, *, is_extended: bool) -> None:
    most = MAX_SERIES_PER_EVENT + EXTRA_SERIES_PER_EVENT * is_extended
    most_of_entity = MAX_SERIES_PER_ENTITY + EXTRA_SERIES_PER_ENTITY * is_extended
    for event_type in EVENT_TYPES:
        touched = [
            row
            for row in series
            if event_type in (*row.values["events"], *row.values.get("read_by", ()))
        ]
        if len(touched) > most:
            text = f"{event_type} reads {len(touched)} series; {most} are the most"
            report.add_row(touched[-1], text)
        for kind in {row.values["entity"]: None for row in touched}:
            of_kind = [row for row in touched if row.values["entity"] == kind]
            if len(of_kind) > most_of_entity:
                text = f"{event_type} reads {len(of_kind)} series of one {kind}"
                report.add_row(of_kind[-1], f"{text}; {most_of_entity} are the most")
            seen = [row for row in of_kind if row.values["measure"] == "first_seen"]
            counted = ("count", "sum", "distinct")
            if seen and not any(row.values["measure"] in counted for row in of_kind):
                report.add_row(seen[0], f"{event_type} needs a count, sum or distinct beside it")
