"""Rules mined from what the service itself recorded and was told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest
import pytest_asyncio

from rules.files import RuleSetFiles
from service.backtest.case import Case
from service.cli.api_client import ApiClient
from service.embedded import EmbeddedServers
from tests.events import event
from tests.running import Here, service_here, settings_on
from training.suggest.past import NothingToLearn, Past, Rules, Take

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Here]:
    """A service in this process on servers of its own."""
    base = tmp_path_factory.mktemp("suggest")
    with EmbeddedServers.start(base / "servers") as servers:
        async with service_here(settings_on(servers, base, patient_ms=10_000)) as here:
            yield here


def no_client() -> ApiClient:
    pytest.fail("neither the live rules nor a directory need the API")


async def read(here: Here, target: str | None = None) -> tuple[list[Case], Rules]:
    cases: list[Case] = []

    def taker(_rules: Rules) -> Take:
        def take(some: Iterable[Case]) -> None:
            cases.extend(some)

        return take

    past = Past(here.settings, None, None, None, target, no_client)
    rules = await asyncio.to_thread(past.read, taker, lambda _done: None)
    return cases, rules


async def test_labelled_decisions_are_read_as_they_were_made(here: Here, tmp_path: Path) -> None:
    """Cases have the facts of the record and the label; what has none is not there.

    The rules are the live ones, unless a directory is to stand for them.
    """
    with pytest.raises(NothingToLearn):
        await read(here)
    labels = []
    for number in range(6):
        one = event("checkout")
        assert (await here.client.score(one)).status == 200
        label = "abusive" if number % 2 else "honest"
        if number < 4:
            labels.append({"event_id": one["event_id"], "source": "review_result", "label": label})
    assert (await here.client.score({"labels": labels}, "/v1/labels")).status == 200
    cases, rules = await read(here)
    assert sorted(case.label or 0 for case in cases) == [0, 0, 1, 1]
    for case in cases:
        assert case.recorded is not None
        assert case.facts == case.recorded.event.facts
        assert case.facts["event.type"] == case.event_type == "checkout"
        assert case.recorded.rule_set == rules.files.version
    assert here.runtime.decider.brain.live.version == rules.files.version
    other = RuleSetFiles.of(
        {**rules.files.texts, "policy.yaml": rules.files.texts["policy.yaml"] + "\n"}
    )
    other.write(tmp_path)
    again, found = await read(here, str(tmp_path))
    assert found.files.version == other.version != rules.files.version
    assert len(again) == len(cases)
