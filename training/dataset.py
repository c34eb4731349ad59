"""How does a stream of events become rows to learn from?

Each event goes through the code of the service: parsed, observed (past read, present recorded) and
assembled. Invariant: a row holds what serving would have seen at that moment, never its own event,
its label or anything later. Time follows `occurred_at` and never runs backwards, as under the
service's event clock.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import orjson
from numpy.typing import NDArray

from features.catalog import Catalog
from features.event import Event, parse_event
from features.geo import GeoTable
from features.money import CurrencyTable
from features.observe import observation_of
from features.tags import MASTER_KEY_BYTES, Tagger, derive_tag_keys
from features.vector import Facts, assemble
from features.velocity.memory_store import MemoryVelocityStore
from service.clock import epoch_ms
from training.labelled import Labelled

Progress = Callable[[int], None]
"""Called now and then with the number of events done so far."""

_REPORT_EVERY = 500


class OfflineKnowledge:
    """What the service would know at each event of a stream, computed in this process."""

    def __init__(
        self, catalog: Catalog, currencies: CurrencyTable, geo: GeoTable | None = None
    ) -> None:
        self._catalog = catalog
        self._currencies = currencies
        self._geo = geo
        # Tags never leave this process and features only compare them: any key gives equal rows.
        self._tagger = Tagger(derive_tag_keys(bytes(MASTER_KEY_BYTES)))
        self._store = MemoryVelocityStore()
        self._latest_ms = 0

    def facts_of(self, event: Event) -> Facts:
        """Return the facts of the next event of the stream, and record the event.

        Raises `UnknownCurrency`.
        """
        self._latest_ms = max(self._latest_ms, epoch_ms(event.occurred_at))
        observation = observation_of(
            event, self._catalog, self._tagger, self._currencies, self._latest_ms
        )
        knowledge = self._store.observe_now(observation)
        return assemble(event, knowledge, self._catalog, self._currencies, geo=self._geo)


@dataclass(frozen=True, slots=True)
class Table:
    """Events as rows in time order. All arrays have one entry an event."""

    rows: NDArray[np.float64]
    """Shape (events, model features); NaN is "unknown"."""
    labels: NDArray[np.float64]
    """1 abusive, 0 honest, NaN not known."""
    times_ms: NDArray[np.int64]
    types: tuple[str, ...]
    scenarios: tuple[str, ...]
    fingerprint: str
    """SHA-256 over the events' JSON and labels, in order."""

    def __len__(self) -> int:
        return len(self.labels)

    def part(self, chosen: NDArray[np.bool_]) -> Table:
        """Return the events where `chosen` holds; the fingerprint stays that of the whole."""
        places = np.flatnonzero(chosen).tolist()
        return Table(
            self.rows[chosen],
            self.labels[chosen],
            self.times_ms[chosen],
            tuple(self.types[i] for i in places),
            tuple(self.scenarios[i] for i in places),
            self.fingerprint,
        )


def build_table(
    stream: Iterable[Labelled],
    catalog: Catalog,
    currencies: CurrencyTable,
    progress: Progress | None = None,
    geo: GeoTable | None = None,
) -> Table:
    """Walk the stream once and return its table. `geo` must hold what serving has.

    Raises `InvalidEvent` for an event that the API would refuse, and `UnknownCurrency`.
    """
    knowledge = OfflineKnowledge(catalog, currencies, geo)
    cells, labels, times = array("d"), array("d"), array("q")
    types: list[str] = []
    scenarios: list[str] = []
    digest = hashlib.sha256()
    for done, (body, label, scenario) in enumerate(stream, start=1):
        raw = orjson.dumps(body)
        event = parse_event(raw, currencies)
        cells.extend(knowledge.facts_of(event).row())
        labels.append(np.nan if label is None else label)
        times.append(epoch_ms(event.occurred_at))
        types.append(event.type)
        scenarios.append(scenario)
        digest.update(raw)
        digest.update(f" {label}\n".encode())
        if progress is not None and done % _REPORT_EVERY == 0:
            progress(done)
    if progress is not None:
        progress(len(labels))
    return Table(
        np.frombuffer(cells, dtype=np.float64).reshape(len(labels), len(catalog.model_features)),
        np.frombuffer(labels, dtype=np.float64),
        np.frombuffer(times, dtype=np.int64),
        tuple(types),
        tuple(scenarios),
        digest.hexdigest(),
    )
