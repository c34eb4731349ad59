"""How do profiles reach decisions? Feast writes the rows, then the marker makes them valid.

Rows go under keys of their own generation, beside those that are being read; then the marker is
set, then the link `current`. Invariant: until the last row is written nothing changes for a reader.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import polars as pl
import redis

from features.profiles.marker import MARKER_KEY, Marker
from features.profiles.schema import PROJECT, VIEWS
from service.feast_import import import_feast
from training.profiles.errors import StoreAway
from training.profiles.layout import Build, Layout
from training.profiles.repo import MAX_AGE_HOURS, lifetime_seconds, open_store, write_config

if TYPE_CHECKING:
    from redis import Redis
    from redis.cluster import RedisCluster

_KEYS_AT_ONCE = 2_000
_MARKER_SECONDS_LESS = 86_400  # longer than any materialisation takes


def materialize(
    layout: Layout,
    build: Build,
    url: str,
    *,
    max_age_hours: int = MAX_AGE_HOURS,
    progress: Callable[[int], None] | None = None,
) -> Marker:
    """Write a build to the online store and make it the one that decisions read.

    The caller has seen it pass its gates; decisions take profiles up to `max_age_hours` old. Doing
    it again is harmless. Raises `StoreAway`; then decisions go on reading what they read before.
    """
    import_feast()
    from features.profiles.online_store import client_of

    directory = layout.directory(build.name)
    write_config(directory, build.name, url, max_age_hours)
    (directory / "registry.db").unlink(missing_ok=True)
    rows = {name: counts.profiles for name, counts in build.views.items()}
    marker = Marker(build.name, build.as_of_ms, rows)
    try:
        client = client_of(url)
        with contextlib.closing(client):
            _drop_unused(layout, build, client)
            _write(layout, build, url, progress)
            _check_complete(layout, build, client)
            # The marker goes before the first row does: a store that forgets is empty, not wrong.
            lives = lifetime_seconds(max_age_hours) - _MARKER_SECONDS_LESS
            client.set(MARKER_KEY, marker.dumps(), ex=lives)
    except (redis.RedisError, OSError) as error:
        raise StoreAway(f"the online store did not take the profiles: {error}") from None
    layout.make_current(build.name)
    layout.drop_old()
    return marker


def online_marker(url: str) -> Marker | None:
    """Return which materialisation decisions read, None when there is none.

    Raises `StoreAway`, and ValueError for something else under the marker's key.
    """
    import_feast()
    from features.profiles.online_store import client_of

    try:
        with contextlib.closing(client_of(url)) as client:
            text: Any = client.get(MARKER_KEY)
    except (redis.RedisError, OSError) as error:
        raise StoreAway(f"the online store does not answer: {error}") from None
    return None if text is None else Marker.loads(text)


def _write(layout: Layout, build: Build, url: str, progress: Callable[[int], None] | None) -> None:
    """Let Feast materialise each view: the rows of the build's own time, and no others."""
    store = open_store(layout.directory(build.name), url)
    as_of = datetime.fromtimestamp(build.as_of_ms / 1000, UTC)
    for done, view in enumerate(VIEWS, start=1):
        with contextlib.redirect_stdout(io.StringIO()):
            store.materialize(as_of, as_of, feature_views=[view])
        if progress is not None:
            progress(done)


def _check_complete(layout: Layout, build: Build, client: Redis | RedisCluster) -> None:
    """Raise `StoreAway` unless the store holds each row: what Feast wrote, not what it said."""
    for name, counts in build.views.items():
        found = 0
        for keys in _keys(layout, build.name, name):
            with client.pipeline(transaction=False) as pipe:
                for key in keys:
                    pipe.hexists(key, f"_ts:{name}")  # type: ignore[arg-type]
                found += sum(pipe.execute())
        if found != counts.profiles:
            raise StoreAway(
                f"the online store holds {found} of {counts.profiles} rows of {name}; "
                "decisions go on reading the profiles of before"
            )


def _drop_unused(layout: Layout, build: Build, client: Redis | RedisCluster) -> None:
    """Remove the rows of builds that nobody reads; their keys would go by themselves in days."""
    current = layout.current()
    kept = {build.name} | ({current.name} if current else set())
    for name in set(layout.names()) - kept:
        for view in VIEWS:
            for keys in _keys(layout, name, view):
                with client.pipeline(transaction=False) as pipe:
                    for key in keys:
                        pipe.unlink(key)
                    pipe.execute()


def _keys(layout: Layout, name: str, view: str) -> Iterator[list[bytes]]:
    """Yield the keys of a build's online rows, some thousand at a time."""
    from feast import RepoConfig

    from features.profiles.online_store import ProfileOnlineStore, ProfileOnlineStoreConfig

    config = RepoConfig(
        project=PROJECT,
        provider="local",
        registry="registry.db",
        online_store=ProfileOnlineStoreConfig(generation=name),
        entity_key_serialization_version=3,
    )
    entity = VIEWS[view].entity
    as_of = datetime.fromtimestamp(layout.load(name).as_of_ms / 1000, UTC)
    tags = (
        pl.scan_parquet(layout.directory(name) / f"{view}.parquet")
        .filter(pl.col("event_timestamp") == as_of)
        .select(entity)
        .collect()
        .to_series()
    )
    feast = ProfileOnlineStore()
    for start in range(0, len(tags), _KEYS_AT_ONCE):
        yield feast.keys_of(config, entity, tags.slice(start, _KEYS_AT_ONCE).to_list())
