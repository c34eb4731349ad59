"""Which number stands for a tag or a text while features are computed?

Numbers sort and compare faster than texts, and take less room in what is kept between chunks.
Invariant: equal texts have one number for as long as anything kept refers to it.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from training.offline.lookup import Ints

NONE = -1


class Codes:
    """The numbers of one column's texts, handed out in order of appearance."""

    def __init__(self) -> None:
        self._known = pl.DataFrame(schema={"text": pl.String, "code": pl.Int64})
        self._next = 0

    def encode(self, column: pl.Series) -> Ints:
        """Give the number of each text, `NONE` for null; texts not met before get fresh ones."""
        texts = column.alias("text").to_frame()
        met = texts.drop_nulls().unique(maintain_order=True).join(
            self._known, on="text", how="left", maintain_order="left"
        )  # fmt: skip
        is_fresh = met["code"].is_null().to_numpy()
        numbers = met["code"].fill_null(NONE).to_numpy().copy()
        numbers[is_fresh] = np.arange(self._next, self._next + int(is_fresh.sum()))
        self._next += int(is_fresh.sum())
        met = met.with_columns(pl.Series("code", numbers, dtype=pl.Int64))
        self._known = pl.concat([self._known, met.filter(pl.Series(is_fresh))])
        coded = texts.join(met, on="text", how="left", maintain_order="left")
        return coded["code"].fill_null(NONE).to_numpy()

    def keep(self, used: Ints) -> None:
        """Forget all texts but those whose numbers are in `used`."""
        alive = pl.DataFrame({"code": np.unique(used)}, schema={"code": pl.Int64})
        self._known = self._known.join(alive, on="code", how="semi")
