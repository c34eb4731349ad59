"""Which events were abuse, who says so, and since when is it known?

A label counts from the moment at which it was known, never before: that moment is in the file, or
follows from the declared delay of its source (`service/labels/label_delays.yaml`).
Invariant: what `known` gives at a time holds nothing that was unknown at that time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from features.problems import did_you_mean
from features.tags import Tagger
from service.clock import epoch_ms
from service.labels.sources import SOURCES_FILE, SourcesUnusable, read_sources
from training.side_files import SideFileUnusable, read_table, refuse, tagged, times_ms

TRUE, FALSE = ("1", "true", "abusive"), ("0", "false", "honest")
COLUMNS = ("label", "source", "known_at")


class LabelsUnusable(SideFileUnusable):
    """A file of labels, or of their delays, cannot be used."""

    code = "labels_unusable"


class LabelLeak(Exception):
    """Something says more than was known at the time: with it a model would learn the future."""

    code = "label_leak"


def read_delays(path: Path = SOURCES_FILE) -> dict[str, int]:
    """Read the delay of each source of labels, in milliseconds. Raises `LabelsUnusable`."""
    try:
        return {name: source.delay_ms for name, source in read_sources(path).items()}
    except SourcesUnusable as error:
        raise LabelsUnusable(str(error)) from None


@dataclass(frozen=True, slots=True)
class Labels:
    """Labels of one file.

    `rows`: event_tag, label (1 abusive, 0 honest), source, known_ms (null: event time + delay).
    """

    path: Path
    rows: pl.DataFrame
    delays_ms: Mapping[str, int]

    def known(self, events: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
        """Give `label`, `label_source` and `label_known_ms` of each event, as known at `as_of`.

        `events` has event_tag and observed_ms; the answer has a row for each, in order, null where
        nothing was known. Of several labels of one event the one known last counts, of those known
        at one moment the abusive one. Raises `LabelLeak` for a label known before its event.
        """
        delay = pl.col("source").replace_strict(
            dict(self.delays_ms), default=None, return_dtype=pl.Int64
        )
        found = events.select("event_tag", "observed_ms").join(self.rows, on="event_tag")
        found = found.with_columns(
            label_known_ms=pl.coalesce("known_ms", pl.col("observed_ms") + delay)
        )
        early = found.filter(pl.col("label_known_ms") < pl.col("observed_ms"))
        if early.height:
            raise LabelLeak(self._early(early))
        latest = (
            found.filter(pl.col("label_known_ms") <= epoch_ms(as_of))
            .sort("label_known_ms", "label")
            .unique("event_tag", keep="last", maintain_order=True)
            .select("event_tag", "label", pl.col("source").alias("label_source"), "label_known_ms")
        )
        return events.select("event_tag").join(
            latest, on="event_tag", how="left", maintain_order="left"
        ).drop("event_tag")  # fmt: skip

    def _early(self, early: pl.DataFrame) -> str:
        row = early.row(0, named=True)
        return (
            f"{self.path}: {early.height} label(s) were known before their event was seen, which "
            f"cannot be, or tells that they are features and no labels. The first: event "
            f"{row['event_tag']}, seen {shown(row['observed_ms'])}, label of source "
            f"`{row['source']}` known {shown(row['label_known_ms'])}. Correct `known_at`, or leave "
            "it empty to use the declared delay."
        )


def read_labels(path: Path, tagger: Tagger, delays_ms: Mapping[str, int]) -> Labels:
    """Read labels from Parquet, CSV or JSON lines.

    Columns: event_id or event_tag, label (1 or 0, true or false, abusive or honest), source, and
    known_at (a time with a zone), which may be empty or missing. Raises `LabelsUnusable` with
    every problem.
    """
    table = read_table(path, LabelsUnusable)
    problems = [f"column `{name}` is missing" for name in COLUMNS[:2] if name not in table.columns]
    problems += _unknown(table.columns)
    refuse(path, problems, LabelsUnusable)
    table = tagged(table, path, tagger, LabelsUnusable)
    text = table["label"].cast(pl.String).str.to_lowercase().str.strip_chars()
    label = text.replace_strict(
        {**dict.fromkeys(TRUE, 1), **dict.fromkeys(FALSE, 0)}, default=None, return_dtype=pl.Int64
    )
    known_ms, bad_times = times_ms(table, "known_at")
    source = table["source"].cast(pl.String)
    problems = _rows(label.is_null(), f"`label` must be one of {', '.join((*TRUE, *FALSE))}")
    problems += _rows(bad_times, "`known_at` must be a time with a zone (RFC 3339), or empty")
    for name in source.unique(maintain_order=True):
        if name not in delays_ms:
            hint = did_you_mean(name or "", delays_ms)
            problems += _rows(
                source.eq_missing(name), f"source `{name}` has no declared delay.{hint}"
            )
    refuse(path, problems, LabelsUnusable)
    rows = table.select("event_tag").with_columns(
        label.alias("label"), source.alias("source"), known_ms.alias("known_ms")
    )
    return Labels(path, rows, dict(delays_ms))


def shown(at_ms: int) -> str:
    """Write a time for people."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")


def _unknown(columns: Sequence[str]) -> list[str]:
    known = ("event_id", "event_tag", *COLUMNS)
    return [
        f"column `{name}` means nothing here.{did_you_mean(name, known)}"
        for name in columns
        if name not in known
    ]


def _rows(is_bad: pl.Series, text: str) -> list[str]:
    return [f"row {row + 1}: {text}" for row in is_bad.arg_true()]
