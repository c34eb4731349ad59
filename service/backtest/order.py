"""What is a backtest to do? Plain data, so that it can be handed to other processes.

Invariant: an order names everything that its result depends on: both rule sets to the letter, the
catalog, where the cases come from and what is counted of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from service.settings import Settings

# Facts whose values are told apart in the result, beside the event type.
SEGMENTS = (
    "event.business_line",
    "event.region",
    "order.channel",
    "payment.method",
    "device.platform",
    "order.country",
)


@dataclass(frozen=True, slots=True)
class Recorded:
    """Decisions of the ledger: those of `since_ms <= observed <= until_ms`."""

    since_ms: int
    until_ms: int
    labels_as_of: datetime


@dataclass(frozen=True, slots=True)
class FactsTable:
    """A Parquet file of facts; `row_groups` None: all of it."""

    path: Path
    row_groups: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class EventsFile:
    """A file of raw events, JSON lines."""

    path: Path


Source = Recorded | FactsTable | EventsFile


@dataclass(frozen=True, slots=True)
class Order:
    """One backtest, or one part of it."""

    settings: Settings
    candidate: Mapping[str, str]
    baseline: Mapping[str, str]
    source: Source
    segments: tuple[str, ...] = SEGMENTS
    processes: int = 2
