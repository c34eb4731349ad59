"""A candidate decides for a stable share; what it did is told with how sure that is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from service.embedded import EmbeddedServers
from tests.deploying import approved, deploy, pack_of, set_of
from tests.events import event
from tests.live_cases import own_settings, until
from tests.running import Here, service_here

USERS = [f"u-{number}" for number in range(150)]
FIRST = set_of(pack_of("mark-0", outcome="review"))
CANDIDATE = set_of(pack_of("mark-1", outcome="decline"))


@pytest.fixture
async def here(
    servers: EmbeddedServers, tmp_path: Path, fresh_postgres_url: str
) -> AsyncIterator[Here]:
    """A service that decides with `FIRST`; `CANDIDATE` is approved."""
    settings = own_settings(servers, tmp_path, FIRST, fresh_postgres_url)
    async with service_here(settings) as running:
        yield running


@pytest.fixture
async def database(here: Here, fresh_postgres_url: str) -> AsyncIterator[Any]:
    """A connection to the service's database."""
    connection = await asyncpg.connect(fresh_postgres_url)
    await approved(connection, CANDIDATE)
    yield connection
    await connection.close()


def of_nobody() -> dict[str, Any]:
    """An event that names no subject."""
    return {name: part for name, part in event("checkout").items() if name != "user"}


async def share_is(here: Here, share_bp: int) -> None:
    """Wait until the worker gives the candidate this share."""

    def holds() -> bool:
        rollout = here.runtime.brain.rollout
        return (0 if rollout is None else rollout.share_bp) == share_bp

    await until(holds)


async def decided_by(here: Here) -> dict[str, str]:
    """User -> the version that decides for that user at the moment."""
    found = {}
    for user in USERS:
        answer = (await here.client.score(event("login", user={"id": user}))).json
        version = answer["versions"]["rule_set"]
        expected = {"review": FIRST.version, "decline": CANDIDATE.version}
        assert expected[answer["outcome"]] == version
        found[user] = version
    return found


async def test_the_share_is_stable_and_grows(here: Here, database: Any) -> None:
    """A user stays with the candidate while the share grows; an abort takes everybody back."""
    await deploy(database, "rollout", CANDIDATE, share_bp=2000)
    await share_is(here, 2000)
    first, again = await decided_by(here), await decided_by(here)
    assert first == again
    in_first = {user for user, version in first.items() if version == CANDIDATE.version}
    assert 0.08 < len(in_first) / len(USERS) < 0.35
    await deploy(database, "ramp", CANDIDATE, share_bp=6000)
    await share_is(here, 6000)
    in_second = {
        user for user, version in (await decided_by(here)).items() if version == CANDIDATE.version
    }
    assert in_first < in_second
    assert 0.45 < len(in_second) / len(USERS) < 0.75
    for _ in range(10):
        answer = (await here.client.score(of_nobody())).json
        assert answer["versions"]["rule_set"] == FIRST.version
    await deploy(database, "abort", CANDIDATE)
    await share_is(here, 0)
    assert set((await decided_by(here)).values()) == {FIRST.version}


async def test_the_report_compares_the_groups(here: Here, database: Any) -> None:
    """Both groups with their outcomes, labels and intervals, since the share was last changed."""
    await deploy(database, "rollout", CANDIDATE, share_bp=2000)
    await share_is(here, 2000)
    await decided_by(here)
    await deploy(database, "ramp", CANDIDATE, share_bp=5000)
    await share_is(here, 5000)
    await asyncio.sleep(1.5)  # the report leaves out the second in which workers follow
    groups = await decided_by(here)
    in_candidate = sum(version == CANDIDATE.version for version in groups.values())
    abusive = event("login", user={"id": next(iter(groups))})
    await here.client.score(abusive)
    await here.client.score(of_nobody())
    tag = here.runtime.brain.tagger.tag("event", abusive["event_id"])
    await database.execute(
        "INSERT INTO label (event_tag, label, source, known_at, observed_at, actor, batch) "
        "VALUES ($1, 1, 'chargeback', $2, $3, 'ana', $4)",
        tag, datetime.now(UTC), datetime.now(UTC).replace(microsecond=0), uuid4(),
    )  # fmt: skip
    answer = await here.client.get(f"/v1/rule-sets/{CANDIDATE.version[:12]}/rollout-report")
    assert answer.status == 200, answer.content
    report = answer.json
    assert (report["baseline"], report["share_percent"]) == (FIRST.version, 50.0)
    assert report["is_under_way"]
    assert report["is_share_expected"]
    assert report["without_subject"] == 1
    assert report["subjects"]["count"] == in_candidate
    assert report["subjects"]["of"] == len(USERS)
    every = report["event_types"][0]
    assert every["candidate"]["outcomes"]["decline"] == every["candidate"]["decisions"]
    assert every["live"]["outcomes"]["review"] == every["live"]["decisions"]
    assert every["candidate"]["decisions"] + every["live"]["decisions"] == len(USERS) + 1
    assert every["candidate"]["labelled"] + every["live"]["labelled"] == 1
    measures = {one["measure"]: one for one in every["differences"]}
    assert measures["declined"]["difference"] == 1.0
    assert measures["declined"]["low"] > 0.9
    assert measures["declined"]["is_clear"]
    assert measures["rule:mark-0"]["difference"] == -1.0


async def test_a_version_without_a_rollout_has_no_report(here: Here, database: Any) -> None:
    """The report of what never decided for a share is refused with a sentence."""
    answer = await here.client.get(f"/v1/rule-sets/{CANDIDATE.version}/rollout-report")
    assert (answer.status, answer.json["code"]) == (409, "wrong_state")
    answer = await here.client.get(f"/v1/rule-sets/{CANDIDATE.version}/shadow-report")
    assert (answer.status, answer.json["decisions"]) == (200, 0)
