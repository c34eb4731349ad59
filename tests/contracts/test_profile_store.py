"""One suite for every profile store: what `ProfileStore` promises."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import pytest_asyncio

from features.profiles.marker import Marker
from features.profiles.memory_store import MemoryProfileStore
from features.profiles.store import ProfilesUnavailable
from features.velocity.connect import connect
from tests.contracts.conftest import IMPLEMENTATIONS
from tests.contracts.profile_stores import InMemory, Published, ThroughFeast
from tests.profiles import NOON_MS, WANTED, feast_module

MAX_AGE_S = 3600.0
USER = {
    "orders_90d": 3,
    "return_share": 0.25,
    "rfm_segment_name": "new",
    "basket_median_minor": 9.5,
}
DEVICE = {"distinct_users": 2, "return_share": None}


@pytest_asyncio.fixture(params=IMPLEMENTATIONS)
async def published(request: pytest.FixtureRequest) -> AsyncIterator[Published]:
    if request.param == "memory":
        yield InMemory(MemoryProfileStore(WANTED, MAX_AGE_S))
        return
    name = "contract_valkey" if request.param == "valkey" else "contract_cluster"
    server = request.getfixturevalue(name)
    url = server.connection_url if request.param == "valkey" else server.url
    connection = connect(url)
    store = feast_module("features.profiles.feast_store").FeastProfileStore
    yield ThroughFeast(store(connection, WANTED, MAX_AGE_S), url)
    await connection.close()


@pytest.fixture
def tags() -> dict[str, str]:
    return {"user": uuid4().hex[:22], "device": uuid4().hex[:22], "ip": "passed-over"}


def marker(as_of_ms: int = NOON_MS) -> Marker:
    return Marker(uuid4().hex[:8], as_of_ms, {"user_profile": 1, "device_profile": 1})


def rows(tags: dict[str, str], orders: int = 3) -> dict[str, dict[str, dict[str, object]]]:
    return {
        "user_profile": {tags["user"]: {**USER, "orders_90d": orders}},
        "device_profile": {tags["device"]: DEVICE},
    }


async def test_both_views_of_an_event_are_read_with_their_types_and_ages(
    published: Published, tags: dict[str, str]
) -> None:
    """Values come back as they went in, null as nothing, and how old they are is said."""
    published.write(marker(), rows(tags))
    answer = await published.store.read(tags, NOON_MS + 60_000, 1.0)
    assert dict(answer.values) == {
        "profile_user_orders_90d": 3,
        "profile_user_return_share": 0.25,
        "profile_user_rfm_segment_name": "new",
        "profile_user_basket_median_minor": 9.5,
        "profile_device_distinct_users": 2,
    }
    assert {name: type(value) for name, value in answer.values.items()} == {
        "profile_user_orders_90d": int,
        "profile_user_return_share": float,
        "profile_user_rfm_segment_name": str,
        "profile_user_basket_median_minor": float,
        "profile_device_distinct_users": int,
    }
    assert answer.stale == ()
    assert dict(answer.ages_seconds) == {"user_profile": 60.0, "device_profile": 60.0}


async def test_an_entity_without_a_profile_is_known_to_have_none(
    published: Published, tags: dict[str, str]
) -> None:
    """A newcomer has no values and is not stale, and takes nothing away from the other view."""
    published.write(marker(), rows(tags))
    answer = await published.store.read({**tags, "user": "newcomer"}, NOON_MS, 1.0)
    assert dict(answer.values) == {"profile_device_distinct_users": 2}
    assert answer.stale == ()
    assert set(answer.ages_seconds) == {"user_profile", "device_profile"}


async def test_an_event_without_entities_asks_nothing(published: Published) -> None:
    """Where neither user nor device is named there is no answer to miss, nor a failure."""
    answer = await published.store.read({"ip": "x"}, NOON_MS, 1.0)
    assert (dict(answer.values), answer.stale, dict(answer.ages_seconds)) == ({}, (), {})


@pytest.mark.parametrize(
    ("age_ms", "is_stale"), [(0, False), (3_600_000, False), (3_600_001, True)]
)
async def test_a_materialisation_is_stale_after_its_greatest_age(
    published: Published, tags: dict[str, str], age_ms: int, is_stale: bool
) -> None:
    """Up to the greatest age profiles are given, after it none are and their views are named."""
    published.write(marker(), rows(tags))
    answer = await published.store.read(tags, NOON_MS + age_ms, 1.0)
    assert bool(answer.values) is not is_stale
    assert answer.stale == (("user_profile", "device_profile") if is_stale else ())


async def test_profiles_of_the_future_are_not_given(
    published: Published, tags: dict[str, str]
) -> None:
    """A decision about the past, as in a replay, learns nothing from profiles made after it."""
    published.write(marker(), rows(tags))
    answer = await published.store.read(tags, NOON_MS - 1, 1.0)
    assert dict(answer.values) == {}
    assert answer.stale == ("user_profile", "device_profile")


async def test_staleness_does_not_depend_on_having_a_profile(
    published: Published, tags: dict[str, str]
) -> None:
    """When profiles are too old nobody knows whether a newcomer still is one."""
    published.write(marker(), rows(tags))
    answer = await published.store.read({"user": "newcomer"}, NOON_MS + 7_200_000, 1.0)
    assert answer.stale == ("user_profile",)


async def test_a_new_materialisation_is_read_as_soon_as_it_is_complete(
    published: Published, tags: dict[str, str]
) -> None:
    """The first read after the end of a materialisation gives its values."""
    for orders in (3, 4, 5):
        published.write(marker(), rows(tags, orders))
        answer = await published.store.read(tags, NOON_MS, 1.0)
        assert answer.values["profile_user_orders_90d"] == orders


async def test_a_materialisation_that_broke_off_is_not_seen(
    published: Published, tags: dict[str, str]
) -> None:
    """Rows without the end of their materialisation change no answer, and no age."""
    published.write(marker(), rows(tags, 3))
    before = await published.store.read(tags, NOON_MS + 9, 1.0)
    published.write(marker(NOON_MS + 9), rows(tags, 4), is_complete=False)
    assert await published.store.read(tags, NOON_MS + 9, 1.0) == before


async def test_who_is_gone_from_the_newest_materialisation_is_unknown(
    published: Published, tags: dict[str, str]
) -> None:
    """A person who was erased has no profile from the next materialisation on."""
    published.write(marker(), rows(tags))
    assert (await published.store.read(tags, NOON_MS, 1.0)).values
    published.write(marker(), rows({"user": "other", "device": "other"}))
    assert dict((await published.store.read(tags, NOON_MS, 1.0)).values) == {}


async def test_a_store_that_was_never_filled_is_unavailable(
    published: Published, tags: dict[str, str]
) -> None:
    """Without any materialisation nothing is known, which is not the same as a newcomer."""
    with pytest.raises(ProfilesUnavailable, match="empty") as failure:
        await published.store.read(tags, NOON_MS, 1.0)
    assert failure.value.reason == "empty"


async def test_a_closed_store_says_so(published: Published, tags: dict[str, str]) -> None:
    """After `close` every read fails as closed."""
    published.write(marker(), rows(tags))
    await published.store.close()
    with pytest.raises(ProfilesUnavailable, match="closed"):
        await published.store.read(tags, NOON_MS, 1.0)
