"""A replay through the live service: what training saw offline is what serving sees."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest

from features.catalog import Catalog
from features.event import parse_event
from service.bundle import current_bundle
from service.launch import RunningService, running_service
from service.scorer import Scorer
from service.settings import ShopSettings, load_settings
from tests.served import touchstone
from training.bundle_writer import make_current, write_bundle
from training.command_train import currencies_of
from training.dataset import OfflineKnowledge, build_table
from training.demo_state import DemoState, demo_key
from training.labelled import Labelled
from training.replay.client import KeyRefused, Reply, ScoreClient
from training.replay.figures import Figures
from training.replay.run import Replay
from training.simulator.stream import Traffic, simulate
from training.train import train

# The event clock never runs ahead of the real one: the stream lies in the past.
UNTIL = datetime(2026, 6, 1, tzinfo=UTC)


class Remembering(Figures):
    """Figures that keep every reply."""

    def __init__(self) -> None:
        super().__init__("test")
        self.replies: list[Reply] = []

    def add(self, item: Labelled, reply: Reply) -> None:
        super().add(item, reply)
        self.replies.append(reply)


@pytest.fixture(scope="module")
def var(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with a small model in it."""
    directory = tmp_path_factory.mktemp("replay")
    catalog = Catalog.load()
    traffic = Traffic(4000, 3, UNTIL - timedelta(days=30), UNTIL)
    table = build_table(simulate(traffic), catalog, currencies_of(ShopSettings()))
    make_current(directory, write_bundle(directory, train(table, catalog, source="simulator")))
    return directory


@pytest.fixture(scope="module")
def service(var: Path) -> Iterator[RunningService]:
    with running_service(var, environment={"TOUCHSTONE_CLOCK": "event"}) as running:
        yield running


@pytest.fixture(scope="module")
def key(service: RunningService) -> str:
    return demo_key(load_settings(service.var))


def stream(run: str, events: int = 500, since: datetime = UNTIL) -> list[Labelled]:
    return list(simulate(Traffic(events, 9, since, since + timedelta(days=2), run)))


def test_scores_served_are_those_of_the_offline_path(
    tmp_path_factory: pytest.TempPathFactory, var: Path
) -> None:
    """Bit for bit, for every event: Valkey, HTTP and worker against one process's memory."""
    own = tmp_path_factory.mktemp("parity")  # a clock and velocities that no other test moves
    catalog = Catalog.load()
    scorer = Scorer.load(with_bundle_of(var, own), catalog)
    offline = OfflineKnowledge(catalog, currencies_of(ShopSettings()))
    items = stream("a")
    figures = Remembering()
    with running_service(own, environment={"TOUCHSTONE_CLOCK": "event"}) as service:
        replay = Replay(service.url, demo_key(load_settings(own)))
        replay.run(items, figures)
    assert replay.follows_data
    for item, reply in zip(items, figures.replies, strict=True):
        event = parse_event(orjson.dumps(item.event))
        assert reply.body["score"] == scorer.score(offline.facts_of(event).row(), event.type)
        assert reply.body["degraded"] == []
        assert reply.body["versions"]["bundle"] == scorer.version
    report = figures.as_json()
    assert report["events"] == len(items)
    assert report["abusive"]["stopped"] > report["abusive"]["events"] / 2


def test_replaying_again_gives_the_first_answers(service: RunningService, key: str) -> None:
    """Same ids, same bodies: recorded once, answered alike, lanes or not."""
    items = stream("b", events=150, since=UNTIL + timedelta(days=3))
    first, again, lanes = Remembering(), Remembering(), Remembering()
    Replay(service.url, key).run(items, first)
    Replay(service.url, key).run(items, again)
    Replay(service.url, key, concurrency=6).run(items, lanes)
    for other in (again, lanes):
        assert [reply.body for reply in other.replies] == [reply.body for reply in first.replies]


def test_a_wrong_key_is_refused_in_words(service: RunningService) -> None:
    """401 becomes a sentence."""
    with (
        ScoreClient(service.url, "ts_nobody_knows") as client,
        pytest.raises(KeyRefused, match="refuses the API key"),
    ):
        client.score(stream("c", events=60)[0].event)


def test_the_replay_command_writes_its_report(
    service: RunningService, key: str, tmp_path: Path
) -> None:
    """`touchstone replay` prints the tables and leaves the figures as JSON; errors are one line."""
    report = tmp_path / "report.json"
    command = touchstone("replay", "simulator", "--url", service.url, "--limit", "80")
    done = run(*command, "--key", key, "--report", str(report))
    assert done.returncode == 0, done.stderr
    assert "Replay of simulator" in done.stdout
    figures = json.loads(report.read_text())
    assert 60 <= figures["events"] <= 80
    assert all(row["p50_ms"] > 0 for row in figures["types"].values())
    for arguments, message in (
        ((), "an API key is needed"),
        (("--key", "ts_a_b"), "refuses the API key"),
    ):
        refused = run(*command, *arguments)
        assert refused.returncode == 1
        assert refused.stderr.splitlines()[-1].startswith("error:")
        assert message in refused.stderr


def test_demo_runs_twice_and_keeps_its_data(
    tmp_path_factory: pytest.TempPathFactory, var: Path
) -> None:
    """The second run keeps key and customers, and goes on with later times and new ids."""
    directory = tmp_path_factory.mktemp("demo")
    with_bundle_of(var, directory)
    command = touchstone(
        "demo", "--no-wait", "--port", "0", "--events", "200", "--var", str(directory)
    )
    seen = []
    for number in (1, 2):
        done = run(*command)
        assert done.returncode == 0, done.stderr
        assert "Replay of simulated shop traffic" in done.stdout
        assert "curl -s http://127.0.0.1:" in done.stdout
        state = DemoState.load(directory)
        assert state is not None
        assert state.runs == number
        seen.append((state.until, (directory / "keys" / "demo-api-key").read_text()))
    assert seen[0][0] < seen[1][0]
    assert seen[0][1] == seen[1][1]
    assert (directory / "keys" / "demo-api-key").stat().st_mode & 0o777 == 0o600


def with_bundle_of(var: Path, directory: Path) -> Path:
    """Give a data directory the live bundle of another one."""
    bundle = current_bundle(var)
    assert bundle is not None
    copy = directory / "bundles" / bundle.name
    shutil.copytree(bundle, copy)
    make_current(directory, copy)
    return copy


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
