"""A backtest decides as the service does, decision for decision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
import redis

from rules.decision import Decision
from rules.files import RuleSetFiles
from service.backtest.order import EventsFile, Recorded
from service.embedded import EmbeddedServers
from service.history.decisions import RecordedDecision
from service.settings import Settings
from tests.backtests import candidate_of, decided, order_of, recorded, serve, shipped, traffic
from tests.running import settings_on

EVENTS = 500


def settings_for(
    servers: EmbeddedServers, base: Path, files: RuleSetFiles, urls: tuple[str, str]
) -> Settings:
    """A service that begins with these files, on stores of its own."""
    base.mkdir()
    files.write(base / "rules")
    settings = settings_on(
        servers, base, patient_ms=10_000, clock="event", rules_dir=base / "rules"
    )
    return settings.model_copy(
        update={
            "valkey": settings.valkey.model_copy(update={"url": urls[0]}),
            "postgres": settings.postgres.model_copy(update={"url": urls[1]}),
        }
    )


def told(decision: Decision) -> tuple[object, ...]:
    """What the record says of a decision, as far as rules and policy make it."""
    hits = sorted((h.rule_id, h.status.value, h.outcome.value, h.mode) for h in decision.hits)
    return decision.outcome.value, hits, decision.degraded


def kept(found: RecordedDecision) -> tuple[object, ...]:
    return found.event.outcome, sorted(map(tuple, found.hits)), found.degraded


@pytest.fixture
def urls(fresh_valkey_url: str, new_postgres_url: Callable[[], str]) -> tuple[str, str, str]:
    """An empty Valkey database and two empty PostgreSQL ones."""
    return fresh_valkey_url, new_postgres_url(), new_postgres_url()


@pytest.mark.timeout(600)
async def test_both_sides_decide_as_the_service_did_and_would_have(
    servers: EmbeddedServers, tmp_path: Path, urls: tuple[str, str, str]
) -> None:
    """The baseline gives what is on record; the candidate what a service with it records.

    The candidate has series of its own: counted again from the past, they are what a service that
    counted them all along has, also when only the later half is decided.
    """
    bodies = list(traffic(EVENTS, seed=5))
    first, other = shipped(), candidate_of(shipped())
    ours = settings_for(servers, tmp_path / "a", first, urls[:2])
    await serve(ours, bodies)
    result, verdicts = await decided(order_of(ours, other, first))
    on_record = await recorded(ours)
    assert len(verdicts) == len(on_record) == len(bodies) - len(range(0, len(bodies), 9))
    assert [told(v.baseline.decision) for _, v in verdicts] == list(map(kept, on_record.values()))
    assert result.tally.replayed == result.tally.replayed_equal == len(verdicts)

    middle = verdicts[len(verdicts) // 2][0].observed_ms
    order = order_of(ours, other, first)
    assert isinstance(order.source, Recorded)
    later = replace(order, source=replace(order.source, since_ms=middle))
    _, tail = await decided(later)
    assert [(case.name, told(verdict.candidate.decision)) for case, verdict in tail] == [
        (case.name, told(verdict.candidate.decision))
        for case, verdict in verdicts
        if case.observed_ms >= middle
    ]

    with_other = settings_for(servers, tmp_path / "b", other, (_emptied(urls[0]), urls[2]))
    await serve(with_other, bodies)
    live = await recorded(with_other)
    differing = [
        (told(verdict.candidate.decision), kept(live[case.recorded.event.event_tag]))
        for case, verdict in verdicts
        if told(verdict.candidate.decision) != kept(live[case.recorded.event.event_tag])
    ]
    assert differing == []
    changed = [v for _, v in verdicts if v.place // 4 != v.place % 4]
    hits = {hit.rule_id for _, v in verdicts for hit in v.candidate.decision.hits}
    assert len(changed) > 20
    assert {"test-busy-device", "test-first-login", "test-many-devices"} <= hits


def _emptied(valkey_url: str) -> str:
    with redis.Redis.from_url(valkey_url) as client:
        client.flushdb()
    return valkey_url


@pytest.mark.timeout(600)
async def test_a_file_of_events_is_decided_as_by_the_service(
    servers: EmbeddedServers, tmp_path: Path, urls: tuple[str, str, str]
) -> None:
    """The same bodies over HTTP and as a file: the same scores, outcomes and hits."""
    bodies = list(traffic(300, seed=8))
    ours = settings_for(servers, tmp_path / "a", shipped(), urls[:2])
    await serve(ours, bodies, counted=None)
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\n".join(map(orjson.dumps, bodies)))
    _, verdicts = await decided(order_of(ours, shipped(), shipped(), source=EventsFile(path)))
    on_record = await recorded(ours)
    assert [(case.score, told(verdict.baseline.decision)) for case, verdict in verdicts] == [
        (one.score, kept(one)) for one in on_record.values()
    ]
