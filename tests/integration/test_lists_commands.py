"""Lists, labels and performance on the command line: an analyst's day, with a running service."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from service.api_key import KeyHash
from service.embedded import EmbeddedServers
from service.secrets_files import read_keys
from service.settings import Settings
from tests.deploying import pack_of, set_of
from tests.events import event
from tests.http_client import Client
from tests.people import person_key
from tests.running import environment_of, service_process, settings_on
from tests.served import touchstone


@dataclass
class Desk:
    """A running service and the key of ana, an analyst whose programs send events."""

    settings: Settings
    port: int
    key: str

    def run(self, *words: str, given: str = "", fails: bool = False) -> str:
        """Run a command; return what it says."""
        done = subprocess.run(
            [*touchstone(*words), "--var", str(self.settings.var)],
            capture_output=True,
            text=True,
            check=False,
            input=given,
            env={
                **os.environ,
                **environment_of(self.settings),
                "TOUCHSTONE_API_KEY": self.key,
                "NO_COLOR": "1",
            },
        )
        said = done.stdout + done.stderr
        assert "Traceback" not in said, said
        assert (done.returncode != 0) is fails, said
        return said

    def score(self, *events: dict[str, Any]) -> list[Any]:
        """Have events decided."""

        async def send() -> list[Any]:
            async with Client(self.key, port=self.port) as client:
                return [answer.json for answer in await client.score_all(list(events))]

        return asyncio.run(send())


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A service with one rule, which asks for a list."""
    base = tmp_path_factory.mktemp("desk")
    set_of(pack_of("stolen", when='in_list("stolen", "device")')).write(base / "rules")
    with EmbeddedServers.start(base / "servers") as servers:
        settings = settings_on(servers, base, patient_ms=10_000, rules_dir=base / "rules")
        with service_process(settings, base / "log", workers=1) as (running, _):

            async def made() -> str:
                opened = await asyncpg.connect(settings.postgres.url)
                hashed = KeyHash(read_keys(settings).tag)
                key = await person_key(opened, hashed, "ana", "analyst", "caller")
                await opened.close()
                return key

            (settings.var / "run").mkdir(exist_ok=True)
            url = f"http://127.0.0.1:{running.port}"
            (settings.var / "run" / "service.json").write_text(json.dumps({"url": url}))
            yield Desk(settings, running.port, asyncio.run(made()))


@pytest.mark.timeout(400)  # two dozen processes
def test_a_day_with_lists_labels_and_figures(desk: Desk, tmp_path: Path) -> None:
    """A list is made and filled, a device is caught, labelled, and the rule's figures say so."""
    assert "stolen" not in desk.run("lists", "show")  # other tests may have lists
    made = desk.run("lists", "create", "stolen", "--purpose", "deny", "--description", "Stolen")
    assert 'in_list("stolen", "device")' in made
    added = desk.run(
        "lists", "add", "stolen", "device=-", "--reason", "report 12", "--expires", "30d",
        given="dev-1\ndev-2\n",
    )  # fmt: skip
    assert added == "2 added to stolen\n"
    table = desk.run("lists", "show", "stolen")
    assert "report 12" in table
    assert "dev-1" not in table
    [entry] = [
        row for row in json.loads(desk.run("lists", "show", "stolen", "--json"))["entries"]
        if row["tag"] in desk.run("lists", "test", "device=dev-1")
    ]  # fmt: skip
    assert entry["owner"] == "ana"
    assert entry["tag"] in table

    caught, calm = event("checkout", device={"id": "dev-1"}), event("checkout")
    hits = [[hit["rule_id"] for hit in answer["rule_hits"]] for answer in desk.score(caught, calm)]
    assert hits == [["stolen"], []]

    assert desk.run("labels", "add", caught["event_id"], "--source", "chargeback").startswith(
        "1 labels added"
    )
    rows = tmp_path / "labels.csv"
    rows.write_text(f"event_id,label\n{calm['event_id']},honest\n")
    desk.run("labels", "import", str(rows), "--source", "review_result")
    assert "abusive, says chargeback" in desk.run("labels", "show", caught["event_id"])
    desk.run("labels", "export", "--out", str(tmp_path / "out.csv"))
    with (tmp_path / "out.csv").open() as file:
        assert sorted(row["label"] for row in csv.DictReader(file)) == ["abusive", "honest"]

    said = desk.run("rules", "performance", "--days", "1")
    assert "1 abusive, 1 honest" in said
    assert "100.0 % (20.7-100.0) /1" in said
    assert "1 of 2 decisions" in desk.run("rules", "performance", "stolen", "--days", "1")
    assert desk.run("rules", "performance", "--flagged", "--days", "1")


def test_what_goes_wrong_is_one_clear_sentence(desk: Desk, tmp_path: Path) -> None:
    """Each refusal says what is wrong and where; a value is never repeated."""
    desk.run("lists", "create", "other", "--purpose", "watch", "--description", "Other")
    bad = tmp_path / "bad.csv"
    bad.write_text("kind,value,reason\ndivice,secret-4711,x\nip,secret-4711,x\n")
    said = desk.run("lists", "import", "other", str(bad), fails=True)
    assert "line 2: kind: There is no such kind of entity. Did you mean `device`?" in said
    assert "line 3: value: This is no ip." in said
    assert "4711" not in said
    assert "No such list" in desk.run("lists", "show", "nosuch", fails=True)
    assert "1 not on other" in desk.run(
        "lists", "remove", "other", "device=x", "--reason", "fine", fails=True
    )
    desk.run("lists", "test", "device=on-no-list", fails=True)
    assert "KIND=VALUE" in desk.run("lists", "add", "other", "x", "--reason", "y", fails=True)
    said = desk.run("lists", "import", "other", str(tmp_path / "nosuch.csv"), fails=True)
    assert "cannot read" in said
    said = desk.run("labels", "add", "never-sent", "--source", "chargebak", fails=True)
    assert "Did you mean `chargeback`?" in said
