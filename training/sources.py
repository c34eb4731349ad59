"""Which streams of events can be trained on or replayed, and by what names?

Adding a data set is adding an adapter and a row. Nothing is read before a stream is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from training.adapters import completejourney, fraud_ecommerce, online_retail
from training.adapters.folder import DataMissing, data_folder
from training.labelled import Labelled
from training.simulator.stream import Traffic, simulate

SIMULATOR = "simulator"
SIMULATED_DAYS = 45
SIMULATED_EVENTS = 30_000


@dataclass(frozen=True, slots=True)
class DataSet:
    """One data set: where its events come from, how many there are, whether they are labelled."""

    name: str
    events: Callable[[Path], Iterator[Labelled]]
    count: int
    is_labelled: bool


DATA_SETS: dict[str, DataSet] = {
    row.name: row
    for row in (
        DataSet(fraud_ecommerce.NAME, fraud_ecommerce.events, 103_378, True),
        DataSet(online_retail.NAME, online_retail.events, 23_614, False),
        DataSet(completejourney.NAME, completejourney.events, 2_102, False),
    )
}
SOURCES: tuple[str, ...] = (SIMULATOR, *DATA_SETS)
LABELLED: tuple[str, ...] = (
    SIMULATOR,
    *(name for name, row in DATA_SETS.items() if row.is_labelled),
)


class UnknownSource(Exception):
    """There is no source of this name; the text lists those that there are."""

    code = "unknown_source"


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream that was opened; `count` is about how many events it will yield."""

    name: str
    events: Iterator[Labelled]
    count: int


def open_source(
    name: str, *, events: int | None, seed: int, until: datetime, run: str = "r1"
) -> Stream:
    """Open a source by name; `events`, `seed`, `until` and `run` are for the simulator.

    Raises `UnknownSource`, and `DataMissing` when a data set is not on this machine.
    """
    if name == SIMULATOR:
        count = events or SIMULATED_EVENTS
        since = until - timedelta(days=SIMULATED_DAYS)
        return Stream(name, simulate(Traffic(count, seed, since, until, run)), count)
    row = DATA_SETS.get(name)
    if row is None:
        raise UnknownSource(f"there is no source {name!r}; there are: {', '.join(SOURCES)}")
    # The first event is asked for here, so that a missing file is found before anything starts.
    rows = row.events(data_folder())
    first = next(rows, None)
    if first is None:
        raise DataMissing(f"{name} in {data_folder()} holds no events")
    return Stream(name, _joined(first, rows), row.count)


def _joined(first: Labelled, rest: Iterator[Labelled]) -> Iterator[Labelled]:
    yield first
    yield from rest


def today() -> datetime:
    """Return the beginning of this day: the default end of simulated traffic for training."""
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
