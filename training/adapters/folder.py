"""Where are the data sets?

They are third-party data and no part of this repository: `TOUCHSTONE_DATA` names the folder that
holds them, by default `../shared/data` beside the repository.
"""

from __future__ import annotations

import csv
import gzip
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

_REPOSITORY = Path(__file__).resolve().parents[2]


class DataMissing(Exception):
    """A data set is not where it was looked for."""

    code = "data_missing"


def data_folder() -> Path:
    """Return the folder of all data sets; it need not exist."""
    named = os.environ.get("TOUCHSTONE_DATA")
    return Path(named) if named else _REPOSITORY.parent / "shared" / "data"


def rows_of(path: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV file, gzipped or not, as they are; raises `DataMissing`."""
    try:
        with _opened(path) as stream:
            yield from csv.DictReader(stream)
    except OSError as error:
        raise DataMissing(
            f"{path} cannot be read ({error.strerror or error}); "
            "set TOUCHSTONE_DATA to the folder that holds the data sets"
        ) from None


def _opened(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")
