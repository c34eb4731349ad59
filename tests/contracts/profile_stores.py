"""Every implementation of `ProfileStore`, and how a test materialises profiles for each."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from features.fields import Value
from features.profiles.marker import MARKER_KEY, Marker
from features.profiles.memory_store import MemoryProfileStore
from features.profiles.schema import PROJECT, VIEWS
from features.profiles.store import ProfileStore
from tests.profiles import feast_module

Rows = Mapping[str, Mapping[str, Mapping[str, Value | None]]]
"""view -> tag -> field -> value"""


class Published(Protocol):
    """A store, and the door through which profiles get into it."""

    store: ProfileStore

    def write(self, marker: Marker, rows: Rows, *, is_complete: bool = True) -> None:
        """Write rows; without `is_complete` the materialisation breaks off before its end."""
        ...


class InMemory:
    """The store of one process."""

    def __init__(self, store: MemoryProfileStore) -> None:
        self.store = store

    def write(self, marker: Marker, rows: Rows, *, is_complete: bool = True) -> None:
        if is_complete:
            self.store.publish(marker, rows)


class ThroughFeast:
    """Feast's online store class writes, as a materialisation does."""

    def __init__(self, store: ProfileStore, url: str) -> None:
        self.store = store
        self._url = url
        self._online: Any = feast_module("features.profiles.online_store")
        self._feast: Any = feast_module("feast")
        self._views: Any = feast_module("features.feast_repo.views").FEATURE_VIEWS
        self.forget()

    def forget(self) -> None:
        """Remove the marker of whoever wrote last."""
        with self._online.client_of(self._url) as client:
            client.delete(MARKER_KEY)

    def write(self, marker: Marker, rows: Rows, *, is_complete: bool = True) -> None:
        config = self._feast.RepoConfig(
            project=PROJECT,
            provider="local",
            registry="registry.db",
            online_store=self._online.ProfileOnlineStoreConfig(
                url=self._url, generation=marker.generation
            ),
            entity_key_serialization_version=3,
        )
        as_of = datetime.fromtimestamp(marker.as_of_ms / 1000, UTC)
        writer = self._online.ProfileOnlineStore()
        for view, profiles in rows.items():
            entity = VIEWS[view].entity
            data = [
                (
                    self._online.EntityKey(
                        join_keys=[entity],
                        entity_values=[self._online.ValueProto(string_val=tag)],
                    ),
                    {name: self._proto(value) for name, value in fields.items()},
                    as_of,
                    None,
                )
                for tag, fields in profiles.items()
            ]
            writer.online_write_batch(config, self._views[view], data, None)
        with self._online.client_of(self._url) as client:
            if is_complete:
                client.set(MARKER_KEY, marker.dumps())

    def _proto(self, value: Value | None) -> Any:
        proto = self._online.ValueProto
        if value is None:
            return proto()
        if isinstance(value, str):
            return proto(string_val=value)
        return proto(double_val=value) if isinstance(value, float) else proto(int64_val=value)
