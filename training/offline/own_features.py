"""Which features of one's own may stand beside those of the catalog?

A file gives values for events and says since when each was known. Invariant: a value that was not
known when its event was seen, and a column that is the label under another name, are refused; what
the model would learn from them does not exist when it decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from features.catalog import Catalog
from features.tags import Tagger
from training.labels import LabelLeak, shown
from training.side_files import SideFileUnusable, read_table, refuse, tagged, times_ms

# Words that name what happened to an event, not what was known before.
LABEL_WORDS = frozenset({
    "label", "labels", "target", "y", "class", "fraud", "is_fraud", "isfraud", "fraud_flag",
    "abuse", "is_abuse", "abusive", "chargeback", "is_chargeback", "charged_back",
    "ground_truth", "truth",
    "outcome", "decision",
})  # fmt: skip
KEYS = ("event_id", "event_tag", "known_at")
FEWEST = 10  # labelled events; fewer agree with a label by chance


class FeaturesUnusable(SideFileUnusable):
    """A file of features of one's own cannot be used."""

    code = "features_unusable"


@dataclass(frozen=True, slots=True)
class OwnFeatures:
    """Features of one file: `rows` holds event_tag, known_ms and the columns `names`."""

    path: Path
    rows: pl.DataFrame
    names: tuple[str, ...]

    def of(self, events: pl.DataFrame) -> pl.DataFrame:
        """Give the columns for each event, in order, null where the file says nothing.

        `events` has event_tag and observed_ms. Raises `LabelLeak` for a value from after its event.
        """
        found = events.select("event_tag", "observed_ms").join(
            self.rows, on="event_tag", how="left", maintain_order="left"
        )
        late = found.filter(pl.col("known_ms") > pl.col("observed_ms"))
        if late.height:
            row = late.row(0, named=True)
            raise LabelLeak(
                f"{self.path}: {late.height} row(s) are from after their event. The first: event "
                f"{row['event_tag']}, seen {shown(row['observed_ms'])}, values known only "
                f"{shown(row['known_ms'])}. Give the values as they were when the event came."
            )
        return found.select(self.names)


def read_own_features(path: Path, tagger: Tagger, catalog: Catalog) -> OwnFeatures:
    """Read features from Parquet, CSV or JSON lines.

    Columns: event_id or event_tag, known_at (a time with a zone), and any others, which become
    features. Raises `FeaturesUnusable`, and `LabelLeak` for a column that is named as labels are.
    """
    table = read_table(path, FeaturesUnusable)
    names = tuple(name for name in table.columns if name not in KEYS)
    labels = [name for name in names if is_label_name(name)]
    if labels:
        raise LabelLeak(
            f"{path}: {', '.join(f'`{name}`' for name in labels)} is named like a label, and no "
            "label may be a feature. Drop the column, or put it into --labels."
        )
    problems = [] if "known_at" in table.columns else ["column `known_at` is missing"]
    problems += [
        f"`{name}` is a fact of the catalog" for name in names if name in catalog.fact_types
    ]
    problems += [] if names else ["there is no column to be a feature"]
    refuse(path, problems, FeaturesUnusable)
    table = tagged(table, path, tagger, FeaturesUnusable)
    known_ms, bad_times = times_ms(table, "known_at")
    is_repeated = ~table["event_tag"].is_first_distinct()
    problems = [
        f"row {row + 1}: `known_at` must be a time with a zone (RFC 3339)"
        for row in (bad_times | known_ms.is_null()).arg_true()
    ]
    problems += [f"row {row + 1}: its event has a row before" for row in is_repeated.arg_true()]
    refuse(path, problems, FeaturesUnusable)
    rows = table.select("event_tag", *names).with_columns(known_ms.alias("known_ms"))
    return OwnFeatures(path, rows, names)


def is_label_name(name: str) -> bool:
    """Say whether a column is named like a label.

    >>> is_label_name("Is_Fraud"), is_label_name("basket_class_share")
    (True, False)
    """
    return name.lower() in LABEL_WORDS or name.lower().startswith("label_")


class Telltale:
    """Finds columns that tell the label: two values at most, each of which belongs to one label."""

    def __init__(self, names: Sequence[str]) -> None:
        self._pairs: dict[str, set[tuple[object, int]]] = {name: set() for name in names}
        self._labelled = 0

    def add(self, frame: pl.DataFrame) -> None:
        """Look at some more rows, with the columns and `label`."""
        labelled = frame.filter(pl.col("label").is_not_null())
        self._labelled += labelled.height
        for name, pairs in list(self._pairs.items()):
            pairs |= set(labelled.select(name, "label").unique().iter_rows())
            if len({value for value, _ in pairs}) > 2:
                del self._pairs[name]

    def columns(self) -> list[str]:
        """Give the columns that tell the label of every labelled event."""
        if self._labelled < FEWEST:
            return []
        return [
            name
            for name, pairs in self._pairs.items()
            if len(pairs) == len({value for value, _ in pairs}) == len({of for _, of in pairs})
        ]
