"""What decisions know of profiles, and what they say when they cannot know."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis

from features.history import HistoryEvent
from features.profiles.marker import MARKER_KEY
from features.tags import Tagger, derive_tag_keys
from service.embedded import EmbeddedServers
from service.settings import Settings
from tests.events import event as body_of
from tests.profiles import built, feast_module, order
from tests.running import Here, entries, service_here, settings_on
from training.profiles.layout import Layout
from training.profiles.materialize import materialize

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


@pytest.fixture(scope="module", autouse=True)
def _feast() -> None:
    feast_module("features.profiles.feast_store")


@pytest.fixture
def settings(
    servers: EmbeddedServers,
    tmp_path: Path,
    fresh_valkey_url: str,
    new_postgres_url: Callable[[], str],
) -> Settings:
    """A database and a Valkey of its own, and time to be slow in."""
    chosen = settings_on(servers, tmp_path, patient_ms=10_000)
    return chosen.model_copy(
        update={
            "valkey": chosen.valkey.model_copy(update={"url": fresh_valkey_url}),
            "postgres": chosen.postgres.model_copy(update={"url": new_postgres_url()}),
            "profiles": chosen.profiles.model_copy(update={"budget_ms": 5_000}),
        }
    )


def body() -> dict[str, Any]:
    return body_of("checkout", user={"id": "u-profile"}, device={"id": "d-profile"})


def history(settings: Settings) -> list[HistoryEvent]:
    """Three orders of the customer, last week."""
    tagger = Tagger(derive_tag_keys(settings.tag_key_path.read_bytes()))
    tags = {"user": tagger.tag("user", "u-profile"), "device": tagger.tag("device", "d-profile")}
    at_ms = round((TODAY - timedelta(days=2)).timestamp() * 1000)
    return [order(at_ms + hour * 3_600_000, 700, tags=tags) for hour in range(3)]


def materialized(settings: Settings, as_of: datetime = TODAY) -> None:
    layout = Layout(settings.var)
    assert settings.valkey.url is not None
    materialize(layout, built(layout, history(settings), as_of), settings.valkey.url)


async def scored(here: Here) -> dict[str, Any]:
    answer = await here.client.score(body())
    assert answer.status == 200
    found: dict[str, Any] = answer.json
    return found


async def test_a_decision_knows_the_profiles_of_its_user_and_device(settings: Settings) -> None:
    """Facts of both profiles are in the decision's record, and nothing is degraded."""
    materialized(settings)
    async with service_here(settings) as here:
        assert (await scored(here))["degraded"] == []
    facts = (await entries(settings))[-1].subject["facts"]
    assert facts["profile_user_orders_lifetime"] == 3
    assert facts["profile_user_basket_median_minor"] == 700
    assert facts["profile_device_distinct_users"] == 1
    assert facts["profile_user_rfm_segment_name"] == "regular"


async def test_profiles_that_are_too_old_are_named_and_not_used(settings: Settings) -> None:
    """When builds stopped decisions go on without profiles, and say so."""
    materialized(settings, TODAY - timedelta(hours=24))
    allowed = settings.profiles.model_copy(update={"max_age_hours": 23})
    async with service_here(settings.model_copy(update={"profiles": allowed})) as here:
        assert (await scored(here))["degraded"] == ["profiles"]
    facts = (await entries(settings))[-1].subject["facts"]
    assert not [name for name in facts if name.startswith("profile_")]


async def test_a_lost_store_is_degraded_until_profiles_are_back(settings: Settings) -> None:
    """After profiles vanished from Valkey decisions say so; a materialisation ends it at once."""
    materialized(settings)
    async with service_here(settings) as here:
        assert (await scored(here))["degraded"] == []
        assert settings.valkey.url is not None
        with redis.Redis.from_url(settings.valkey.url) as client:
            client.delete(MARKER_KEY)
        assert (await scored(here))["degraded"] == ["profiles"]
        materialized(settings)
        assert (await scored(here))["degraded"] == []


async def test_where_profiles_were_never_made_nothing_is_missing(settings: Settings) -> None:
    """A shop without profiles is not degraded, and `on` makes it a gap."""
    async with service_here(settings) as here:
        assert (await scored(here))["degraded"] == []
    required = settings.profiles.model_copy(update={"use": "on"})
    async with service_here(settings.model_copy(update={"profiles": required})) as here:
        assert (await scored(here))["degraded"] == ["profiles"]
