"""What does a measure answer? One value for each event that asks, or that it is unknown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.offline.lookup import Bools, Ints


@dataclass(frozen=True, slots=True)
class Answer:
    """Values in the order of `Asked`; `is_known` is None when all of them are known."""

    values: Ints | NDArray[np.float64]
    is_known: Bools | None = None
