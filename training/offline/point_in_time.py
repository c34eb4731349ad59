"""What else was known about each event, as of a time? Labels, and features of one's own.

Invariant: no row holds anything from after its event but its label, and that as it was known at
the time asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

import polars as pl

from training.labels import LabelLeak, Labels
from training.offline.own_features import OwnFeatures, Telltale


@dataclass(slots=True)
class PointInTime:
    """Adds labels and own features to a table of features, chunk by chunk.

    `labelled` counts the events that had a label at `as_of`.
    """

    as_of: datetime | None = None
    labels: Labels | None = None
    own: OwnFeatures | None = None
    labelled: int = field(default=0, init=False)
    _telltale: Telltale = field(init=False)

    def __post_init__(self) -> None:
        """Watch the columns that come from outside."""
        self._telltale = Telltale(self.own.names if self.own is not None else ())

    def add(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Give a chunk with the further columns. Raises `LabelLeak`."""
        parts = [frame]
        if self.own is not None:
            parts.append(self.own.of(frame))
        if self.labels is not None:
            assert self.as_of is not None
            parts.append(self.labels.known(frame, self.as_of))
        joined = pl.concat(parts, how="horizontal")
        if self.labels is not None:
            self.labelled += joined["label"].count()
            self._telltale.add(joined)
        return joined

    def close(self) -> None:
        """Raise `LabelLeak` when a column told the label of every event."""
        names = self._telltale.columns()
        if names and self.own is not None:
            raise LabelLeak(
                f"{self.own.path}: {', '.join(f'`{name}`' for name in names)} tells the label of "
                "every event, so it was made from the label. Drop the column."
            )
