"""Histories for profiles, builds of them, and Feast without its remarks."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import orjson
import polars as pl

from features.catalog import ProfileFeature
from features.entities import entities_of
from features.event import parse_event
from features.fields import Value, fields_of
from features.history import HistoryEvent
from features.profiles.schema import VIEWS
from service.feast_import import import_feast
from service.settings import ShopSettings
from tests.offline import TAGGER, frame_of
from training.command_train import currencies_of
from training.profiles.build import build_profiles
from training.profiles.layout import Build, Layout
from training.simulator.stream import Traffic, simulate

DAY_MS = 86_400_000
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
NOON_MS = round(NOON.timestamp() * 1000)
MIDNIGHT_MS = NOON_MS - DAY_MS // 2
WANTED = tuple(
    ProfileFeature(f"profile_{view.entity}_{field.name}", field.type, view.name, field.name)
    for view in VIEWS.values()
    for field in view.fields
)
_numbers = itertools.count(1)


def event(
    kind: str,
    at_ms: int,
    *,
    outcome: str | None = None,
    tags: Mapping[str, str] | None = None,
    **fields: Value,
) -> HistoryEvent:
    """One event of the past; a field's dot is written as two underscores."""
    number = next(_numbers)
    stated = {name.replace("__", "."): value for name, value in fields.items()}
    return HistoryEvent(
        position=number,
        observed_ms=at_ms,
        occurred_ms=at_ms,
        event_tag=f"event-{number}",
        outcome=outcome,
        tags=dict(tags or {"user": "u1", "device": "d1"}),
        fields={"event.type": kind, **stated},
        facts={},
    )


def order(at_ms: int, amount: int = 1000, **more: object) -> HistoryEvent:
    """A checkout."""
    return event("checkout", at_ms, order__amount_base_minor=amount, **more)  # type: ignore[arg-type]


def simulated(events: int, until: datetime, days: int = 30) -> list[HistoryEvent]:
    """Events of the simulator as the ledger would give them, none of them decided."""
    from datetime import timedelta

    currencies = currencies_of(ShopSettings())
    traffic = Traffic(events, 1, until - timedelta(days=days), until, "r1")
    found: list[HistoryEvent] = []
    latest = 0
    for position, item in enumerate(simulate(traffic), start=1):
        parsed = parse_event(orjson.dumps(item.event), currencies)
        at_ms = round(parsed.occurred_at.timestamp() * 1000)
        latest = max(latest, at_ms)
        found.append(
            HistoryEvent(
                position=position,
                observed_ms=latest,
                occurred_ms=at_ms,
                event_tag=TAGGER.tag("event", parsed.event_id),
                outcome=None,
                tags=entities_of(parsed, TAGGER),
                fields=fields_of(parsed, currencies),
                facts={},
            )
        )
    return found


def built(layout: Layout, events: Iterable[HistoryEvent], as_of: datetime, **more: object) -> Build:
    """Make a build of these events."""
    layout.root.mkdir(parents=True, exist_ok=True)
    path = layout.root / "history.parquet"
    frame_of(events).write_parquet(path)
    created = datetime.now(UTC)
    return build_profiles(layout, path, as_of=as_of, created=created, **more)  # type: ignore[arg-type]


def rows_of(layout: Layout, build: Build, view: str) -> pl.DataFrame:
    """The rows of a view of a build."""
    return pl.read_parquet(layout.directory(build.name) / f"{view}.parquet")


def profile_of(layout: Layout, build: Build, view: str, tag: str) -> dict[str, object]:
    """An entity's profile at the build's time."""
    as_of = datetime.fromtimestamp(build.as_of_ms / 1000, UTC)
    rows = rows_of(layout, build, view).filter(
        (pl.col(VIEWS[view].entity) == tag) & (pl.col("event_timestamp") == as_of)
    )
    return rows.row(0, named=True)


def tables_at(path: Path) -> list[Path]:
    """The Parquet files of a directory."""
    return sorted(path.glob("*.parquet"))


def feast_module(name: str) -> ModuleType:
    """Import a module that imports Feast, as the service does."""
    import_feast()
    return importlib.import_module(name)
