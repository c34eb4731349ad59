"""The gates: what is fit passes, and each kind of fault is found by the gate that is for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from features.profiles.schema import VIEWS
from tests.profiles import NOON, built, rows_of, simulated
from training.profiles.gate_rules import build_facts, build_gates, profile_gates, row_gates
from training.profiles.gates import DEFAULT_GATES, Checker, Finding, check_gates, failures
from training.profiles.layout import Build, Layout
from training.profiles.report import write_report

AS_OF = NOON.replace(hour=0)
LIMITS: dict[str, Any] = yaml.safe_load(DEFAULT_GATES.read_text("utf-8"))


@pytest.fixture(scope="module")
def fit(tmp_path_factory: pytest.TempPathFactory) -> tuple[Layout, Build]:
    """A build of simulated traffic, nothing wrong with it."""
    layout = Layout(tmp_path_factory.mktemp("var"))
    return layout, built(layout, simulated(1500, AS_OF), AS_OF)


@pytest.fixture(scope="module")
def checker() -> Checker:
    return Checker()


def build_findings(
    checker: Checker, build: Build, before: Build | None = None, now: datetime = NOON
) -> list[Finding]:
    """What the gates of the build as a whole find that is wrong."""
    limits = {**LIMITS["build"], "compared_from": 10}
    facts = build_facts(build, before, now, limits)
    found = checker.check("build", pl.DataFrame([facts]), build_gates(facts, limits))
    return [one for one in found if not one.is_kept]


def test_a_build_of_ordinary_traffic_passes_every_gate(fit: tuple[Layout, Build]) -> None:
    """Nothing is wrong with simulated traffic, and every gate was asked."""
    findings = check_gates(*fit, NOON)
    assert failures(findings) == []
    assert {one.gate for one in findings} == {
        "schema",
        "ranges",
        "null rates",
        "freshness",
        "volume",
    }


def test_every_field_has_a_gate_for_type_range_and_nulls(fit: tuple[Layout, Build]) -> None:
    """No field of any view can be added without limits of its own."""
    for view in VIEWS.values():
        gates = [*row_gates(view, LIMITS), *profile_gates(view, LIMITS, fit[1])]
        for field in view.fields:
            of_field = [gate for gate in gates if gate.text.split()[0] == field.name]
            kinds = {gate.kind for gate in of_field}
            may_be_null = LIMITS["null_share"].get(field.name, 0) == 1
            assert kinds == {"schema", "ranges"} | (set() if may_be_null else {"null rates"})


FAULTS: list[tuple[str, str, str, Callable[[pl.DataFrame], pl.DataFrame]]] = [
    ("a column is gone", "schema", "the columns are", lambda rows: rows.drop("orders_90d")),
    (
        "a column is of another type",
        "schema",
        "orders_90d is int",
        lambda rows: rows.with_columns(pl.col("orders_90d").cast(pl.Float64)),
    ),
    (
        "a profile is there twice",
        "schema",
        "one row for each user",
        lambda rows: pl.concat([rows, rows.tail(1)]),
    ),
    (
        "an amount is negative",
        "ranges",
        "spend_90d_minor is between",
        lambda rows: rows.with_columns(spend_90d_minor=-pl.col("spend_90d_minor") - 1),
    ),
    (
        "90 days hold more than a lifetime",
        "ranges",
        "orders_90d is never above",
        lambda rows: rows.with_columns(orders_90d=pl.col("orders_lifetime") + 1),
    ),
    (
        "a segment that there is not",
        "ranges",
        "rfm_segment_name is one of",
        lambda rows: rows.with_columns(rfm_segment_name=pl.lit("whale")),
    ),
    (
        "values are missing",
        "null rates",
        "tenure_days is missing in at most 0%",
        lambda rows: rows.with_columns(
            tenure_days=pl.when(pl.int_range(pl.len()) > 5).then("tenure_days")
        ),
    ),
    (
        "orders did not arrive",
        "null rates",
        "return_share is missing in at most 95%",
        lambda rows: rows.with_columns(return_share=pl.lit(None, pl.Float64)),
    ),
    ("profiles were lost", "schema", "profiles that were built", lambda rows: rows.head(5)),
]


@pytest.mark.parametrize(
    ("gate", "text", "change"), [fault[1:] for fault in FAULTS], ids=[fault[0] for fault in FAULTS]
)
def test_a_fault_is_found_by_the_gate_that_is_for_it(
    fit: tuple[Layout, Build],
    checker: Checker,
    gate: str,
    text: str,
    change: Callable[[pl.DataFrame], pl.DataFrame],
) -> None:
    """Each planted fault is found by its gate, which finds nothing wrong without it."""
    rows = rows_of(*fit, "user_profile")
    rows = rows.filter(pl.col("event_timestamp") == AS_OF)
    view = VIEWS["user_profile"]
    every = [*row_gates(view, LIMITS), *profile_gates(view, LIMITS, fit[1])]
    gates = [one for one in every if text in one.text]
    assert [one.kind for one in gates] == [gate]
    assert [one.is_kept for one in checker.check("user_profile", rows, gates)] == [True]
    assert [one.is_kept for one in checker.check("user_profile", change(rows), gates)] == [False]


@pytest.mark.parametrize("hours", [37, -1], ids=["too old", "of the future"])
def test_a_build_must_be_of_about_now(
    fit: tuple[Layout, Build], checker: Checker, hours: int
) -> None:
    """Profiles of the day before yesterday, or of tomorrow, are not fit to be used today."""
    found = build_findings(checker, fit[1], now=AS_OF + timedelta(hours=hours))
    assert [(one.gate, one.text.split(":")[0]) for one in found] == [
        ("freshness", "hours from the build's time to now")
    ]


def test_a_history_that_stopped_days_ago_is_found(
    fit: tuple[Layout, Build], checker: Checker
) -> None:
    """A build of today whose newest event is two days old was made from half a history."""
    stopped = replace(fit[1], newest_ms=fit[1].as_of_ms - 49 * 3_600_000)
    found = build_findings(checker, stopped)
    assert [one.text.split(":")[0] for one in found] == [
        "hours from the newest event to the build's time"
    ]


@pytest.mark.parametrize(("factor", "passes"), [(1.0, True), (1.2, False), (0.3, False)])
def test_volume_is_compared_with_the_build_in_use(
    fit: tuple[Layout, Build], checker: Checker, factor: float, passes: bool
) -> None:
    """Far fewer or far more profiles than in the build that decisions read are not let through."""
    build = fit[1]
    earlier = {
        view: replace(counts, profiles=int(counts.profiles * factor))
        for view, counts in build.views.items()
    }
    found = build_findings(checker, build, replace(build, name="before", views=earlier))
    assert [one.gate for one in found] == ([] if passes else ["volume", "volume"])


def test_the_page_says_what_failed_and_fetches_nothing(fit: tuple[Layout, Build]) -> None:
    """The page of a spoilt build names the gate in words and loads nothing from anywhere."""
    layout, build = fit
    segment = "rfm_segment_name is one of the segments"
    findings = [Finding("user_profile", "ranges", segment, False, "such as <b>whale</b>")]
    page = write_report(layout, build, findings, Path("gates.yaml")).read_text("utf-8")
    assert "gates failed: not to be used" in page
    assert "rfm_segment_name is one of the segments" in page
    assert "&lt;b&gt;whale" in page
    assert "<b>" not in page
    for text in (page, (layout.docs / "index.html").read_text("utf-8")):
        assert not any(word in text for word in ("http:", "https:", "src=", "@import", "url("))
    assert "failed" in (layout.docs / "index.html").read_text("utf-8")


def test_gates_of_ones_own_replace_the_shipped_ones(
    fit: tuple[Layout, Build], tmp_path: Path
) -> None:
    """With another file its limits hold."""
    strict = tmp_path / "strict.yaml"
    text = DEFAULT_GATES.read_text("utf-8")
    strict.write_text(text.replace("as_of_age_hours: [0, 36]", "as_of_age_hours: [0, 1]"))
    assert failures(check_gates(*fit, AS_OF + timedelta(hours=2), strict))
