"""How likely is it that this event is abuse, and which plain causes speak for it?

Invariant: for one bundle and one row the score is the same bits everywhere and always (ledger
promise P9): one thread, a fixed table, no state. A scorer is not thread-safe (it writes into its
model's buffers): every worker or thread loads its own.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path

from service.bundle import Bundle, BundleMismatch, FeatureSchema, read_bundle
from service.native_model import ModelUnusable, RowModel, load_row_model


class Scorer:
    """A loaded bundle: rows in, calibrated probabilities and causes out."""

    def __init__(self, bundle: Bundle, model: RowModel | None = None) -> None:
        self.bundle = bundle
        self.version = bundle.version
        self.features = bundle.manifest.features
        try:
            self._model = load_row_model(bundle.model_text) if model is None else model
        except ModelUnusable as error:
            raise BundleMismatch(f"{bundle.directory}: {error}") from None
        if self._model.features != len(self.features):
            raise BundleMismatch(
                f"{bundle.directory}: the model takes {self._model.features} features, "
                f"the manifest lists {len(self.features)}"
            )
        self._probability = self._model.probability
        self._x = bundle.manifest.calibration.x
        self._y = bundle.manifest.calibration.y
        places = {name: place for place, name in enumerate(self.features)}
        self._neutral = {
            event_type: tuple((places[name], value) for name, value in sorted(values.items()))
            for event_type, values in bundle.manifest.neutral.items()
        }
        self._causes = tuple(bundle.manifest.causes[name] for name in self.features)

    @classmethod
    def load(cls, directory: Path, catalog: FeatureSchema) -> Scorer:
        """Load the bundle in `directory`; raises `BundleError` with what does not fit."""
        return cls(read_bundle(directory, catalog))

    def score(self, row: Sequence[float], event_type: str) -> float:
        """Return the calibrated probability of abuse in [0, 1].

        `row` holds the catalog's model features in order, NaN for what is unknown; a row of any
        other length raises `ModelUnusable`.
        """
        return interpolate(self._x, self._y, self._probability(self._filled(row, event_type)))

    def explain(self, row: Sequence[float], event_type: str) -> list[tuple[str, float]]:
        """Return the causes that speak for abuse with their weight in log-odds, heaviest first.

        TreeSHAP contributions summed by cause; only positive sums. About 150 µs for 200 trees of
        8 leaves, six times a score: meant for outcomes other than approve.
        """
        filled = self._filled(row, event_type)
        sums: dict[str, float] = {}
        for cause, weight in zip(self._causes, self._model.contributions(filled), strict=False):
            sums[cause] = sums.get(cause, 0.0) + weight
        return sorted(
            ((cause, weight) for cause, weight in sums.items() if weight > 0.0),
            key=lambda item: (-item[1], item[0]),
        )

    def _filled(self, row: Sequence[float], event_type: str) -> Sequence[float]:
        """Put neutral values where something is unknown that the model always knew (3 µs)."""
        neutral = self._neutral.get(event_type, ())
        unknown = [(place, value) for place, value in neutral if row[place] != row[place]]
        if not unknown:
            return row
        filled = list(row)
        for place, value in unknown:
            filled[place] = value
        return filled


def interpolate(x: Sequence[float], y: Sequence[float], value: float) -> float:
    """Return the piecewise-linear value of the table at `value`, constant outside of it.

    >>> interpolate((0.25, 0.75), (0.0, 1.0), 0.5)
    0.5
    >>> interpolate((0.25, 0.75), (0.0, 1.0), 0.9)
    1.0
    """
    right = bisect_right(x, value)
    if right == 0:
        return y[0]
    if right == len(x):
        return y[-1]
    left = right - 1
    share = (value - x[left]) / (x[right] - x[left])
    return y[left] + share * (y[right] - y[left])
