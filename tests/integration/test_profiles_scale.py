"""Profiles on more than one machine are a matter of configuration: cluster and remote store."""

from __future__ import annotations

import contextlib
import io
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from features.history import HistoryEvent
from features.profiles.schema import VIEWS
from features.velocity.connect import connect
from tests.offline import frame_of
from tests.profiles import MIDNIGHT_MS, WANTED, built, feast_module, rows_of, simulated
from tests.served import HOST, free_port
from tests.valkey_cluster import ValkeyCluster
from training.profiles.join import join_profiles
from training.profiles.layout import Build, Layout
from training.profiles.materialize import materialize
from training.profiles.repo import open_store

AS_OF = datetime.fromtimestamp(MIDNIGHT_MS / 1000, UTC)


@pytest.fixture(scope="module")
def cluster() -> Iterator[ValkeyCluster]:
    with ValkeyCluster() as running:
        yield running


@pytest.fixture(scope="module")
def events() -> list[HistoryEvent]:
    return simulated(600, AS_OF)


@pytest.fixture
def made(tmp_path: Path, events: list[HistoryEvent]) -> tuple[Layout, Build]:
    feast_module("features.profiles.feast_store")
    layout = Layout(tmp_path)
    return layout, built(layout, events, AS_OF)


async def test_a_cluster_holds_the_profiles_that_decisions_read(
    made: tuple[Layout, Build], cluster: ValkeyCluster
) -> None:
    """With the URL of a cluster rows lie on every primary, and each is found."""
    layout, build = made
    marker = materialize(layout, build, cluster.url)
    assert all(node.command("DBSIZE") > 10 for node in cluster.primaries())
    connection = connect(cluster.url)
    store = feast_module("features.profiles.feast_store").FeastProfileStore(
        connection, WANTED, 3600.0
    )
    for view in VIEWS.values():
        rows = rows_of(layout, build, view.name).filter(pl.col("event_timestamp") == AS_OF)
        assert rows.height == marker.rows[view.name]
        for row in rows.select(view.entity, "orders_lifetime").iter_rows():
            answer = await store.read({view.entity: row[0]}, MIDNIGHT_MS, 2.0)
            assert answer.values[f"profile_{view.entity}_orders_lifetime"] == row[1]
    await connection.close()


def configured(made: tuple[Layout, Build], base: Path, **changed: dict[str, Any]) -> Path:
    """A copy of a build's Feast repository with another configuration."""
    layout, build = made
    directory = shutil.copytree(layout.directory(build.name), base)
    path = directory / "feature_store.yaml"
    config = {**yaml.safe_load(path.read_text("utf-8")), **changed}
    path.write_text(yaml.safe_dump(config))
    return directory


def test_feasts_own_cluster_store_is_a_change_of_configuration(
    made: tuple[Layout, Build], cluster: ValkeyCluster, tmp_path: Path
) -> None:
    """The same definitions materialise into Feast's Redis Cluster store, and are read from it."""
    nodes = ",".join(node.address for node in cluster.nodes)
    online = {"type": "redis", "redis_type": "redis_cluster", "connection_string": nodes}
    directory = configured(made, tmp_path / "own", online_store=online)
    store = open_store(directory)
    with contextlib.redirect_stdout(io.StringIO()):
        store.materialize(AS_OF, AS_OF)
    users = rows_of(*made, "user_profile").filter(pl.col("event_timestamp") == AS_OF)
    found = store.get_online_features(
        features=["user_profile:spend_lifetime_minor"],
        entity_rows=[{"user": tag} for tag in users["user"]],
    ).to_dict()
    assert found["spend_lifetime_minor"] == users["spend_lifetime_minor"].to_list()


@pytest.fixture
def offline_server(made: tuple[Layout, Build], tmp_path: Path) -> Iterator[int]:
    """Feast's offline server for a build, on the loopback address."""
    directory = made[0].directory(made[1].name)
    open_store(directory)
    port = free_port()
    command = [str(Path(sys.executable).with_name("feast")), "-c", str(directory)]
    with (tmp_path / "offline.log").open("wb") as log:
        server = subprocess.Popen(
            [*command, "serve_offline", "-h", HOST, "-p", str(port)], stdout=log, stderr=log
        )
    try:
        give_up_at = time.monotonic() + 60
        while server.poll() is None and time.monotonic() < give_up_at:
            with contextlib.suppress(OSError), socket.create_connection((HOST, port), 1):
                break
            time.sleep(0.1)
        yield port
    finally:
        server.terminate()
        server.wait()


def test_a_remote_offline_store_joins_what_the_local_one_joins(
    made: tuple[Layout, Build], events: list[HistoryEvent], offline_server: int, tmp_path: Path
) -> None:
    """Training on another machine gets the same profiles through Feast's offline server."""
    offline = {"type": "remote", "host": HOST, "port": offline_server}
    remote = configured(made, tmp_path / "remote", offline_store=offline)
    for view in VIEWS:
        (remote / f"{view}.parquet").unlink()
    asked = frame_of(events[-200:])
    local = join_profiles(asked, made[0].directory(made[1].name), WANTED)
    assert join_profiles(asked, remote, WANTED).equals(local)
    assert local["profile_user_orders_lifetime"].drop_nulls().sum() > 0
