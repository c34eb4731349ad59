"""How rules did, asked over HTTP: decisions and labels in, figures out, beside the service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

import service.evidence.reports
from service.embedded import EmbeddedServers
from service.evidence.performance_report import PerformanceReport
from tests.api.test_endpoints import assert_problem
from tests.deploying import pack_of, set_of
from tests.events import event
from tests.http_client import Client
from tests.running import Here, service_here, settings_on

pytestmark = pytest.mark.asyncio(loop_scope="module")
DEAR = {"id": "o-1", "amount_minor": 90_000, "currency": "CNY"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Here]:
    """A service whose one rule has dear checkouts looked at."""
    base = tmp_path_factory.mktemp("performance")
    set_of(pack_of("dear", when="order.amount_base_minor > 50000")).write(base / "rules")
    with EmbeddedServers.start(base / "servers") as servers:
        settings = settings_on(servers, base, patient_ms=10_000, rules_dir=base / "rules")
        async with service_here(settings) as here:
            yield here


async def scored(here: Here, count: int, **parts: Any) -> list[str]:
    """Have checkouts decided and return their event ids."""
    events = [event("checkout", **parts) for _ in range(count)]
    answers = await here.client.score_all(events)
    assert {answer.status for answer in answers} == {200}
    return [str(one["event_id"]) for one in events]


async def test_the_figures_are_those_of_decisions_and_labels(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hits, money, precision, recall and false alarms; a report is kept for a minute."""
    dear, cheap = await scored(here, 6, order=DEAR), await scored(here, 10)
    await here.client.score(event("login"))
    labels: list[tuple[str, str, str | None]]
    labels = [(name, "chargeback", None) for name in (*dear[:3], cheap[0])]
    labels += [(name, "review_result", "honest") for name in (dear[3], *cheap[1:4])]
    rows = [{"event_id": n, "source": s, "label": label} for n, s, label in labels]
    assert (await here.client.score({"labels": rows}, "/v1/labels")).status == 200
    answer = await here.client.get("/v1/rules/performance?days=2")
    assert answer.status == 200, answer.content
    report = PerformanceReport.model_validate_json(answer.content)
    assert (report.decisions, report.labelled_abusive, report.labelled_honest) == (17, 4, 4)
    [rule] = report.rules
    assert (rule.rule_id, rule.is_live, rule.hits, rule.evaluated) == (
        "dear",
        True,
        {"live": 6},
        17,
    )
    assert rule.amount_minor == 6 * 90_000
    assert (rule.precision.count, rule.precision.of) == (3, 4)
    assert (rule.recall.count, rule.recall.of) == (3, 4)
    assert (rule.false_alarms.count, rule.false_alarms.of) == (1, 4)
    assert (rule.caught_alone, rule.honest_amount_minor) == (3, 90_000)
    assert rule.last_hit_at is not None
    await scored(here, 1, order=DEAR)
    assert (await here.client.get("/v1/rules/performance?days=2")).content == answer.content
    monkeypatch.setattr(here.runtime.performance, "fresh_seconds", 0)
    fresh = (await here.client.get("/v1/rules/performance?days=2&rule=dear")).json
    assert fresh["rules"][0]["hits"] == {"live": 7}
    none = (await here.client.get("/v1/rules/performance?days=2&rule=cheap")).json
    assert none["rules"] == []


async def test_who_asks_waits_for_some_seconds_at_most(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What takes longer goes on, and is there for who asks again."""
    monkeypatch.setattr(service.evidence.reports, "PATIENCE_SECONDS", 0.01)
    pending = await here.client.get("/v1/rules/performance?days=3")
    assert_problem(pending, "report_pending")
    monkeypatch.setattr(service.evidence.reports, "PATIENCE_SECONDS", 60)
    assert (await here.client.get("/v1/rules/performance?days=3")).status == 200


async def test_performance_needs_its_scope(here: Here) -> None:
    """Who may score may not see how the rules do; a wrong span is refused."""
    async with Client(await here.new_key("score"), transport=here.transport) as client:
        assert_problem(await client.get("/v1/rules/performance"), "missing_scope")
    assert_problem(await here.client.get("/v1/rules/performance?days=0"), "invalid_request")
