"""Rules on the command line: an analyst's day, with a service and keys of two people."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from service.embedded import EmbeddedServers
from service.settings import Settings
from tests.rule_sets import COUPONS, FIRST, LOGINS, changed, people, variant
from tests.running import environment_of, service_process, settings_on
from tests.served import touchstone

RULE = "coupon-crowded-address"


@dataclass
class Desk:
    """A running service, the keys of ana and bo, and a directory to work in."""

    url: str
    keys: dict[str, str]
    settings: Settings
    base: Path

    def run(self, who: str, *words: str, fails: bool = False) -> str:
        """Run `touchstone rules ...` as a person; return what it says."""
        done = subprocess.run(
            [*touchstone("rules", *words), "--var", str(self.settings.var)],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.base,
            env={
                **os.environ,
                **environment_of(self.settings),
                "TOUCHSTONE_API_KEY": self.keys.get(who, ""),
                "NO_COLOR": "1",
                "COLUMNS": "200",
            },
            stdin=subprocess.DEVNULL,
        )
        said = done.stdout + done.stderr
        assert "Traceback" not in said, said
        assert (done.returncode != 0) is fails, said
        return said

    def call(self, who: str, *words: str, fails: bool = False) -> str:
        """Run a command that talks to the service."""
        return self.run(who, *words, "--url", self.url, fails=fails)


@contextmanager
def a_desk(servers: EmbeddedServers, dsn: str, base: Path) -> Iterator[Desk]:
    """Run a service on an empty database, with a small rule set."""
    FIRST.write(base / "first")
    settings = settings_on(servers, base, patient_ms=5000)
    settings = settings.model_copy(
        update={"postgres": settings.postgres.model_copy(update={"url": dsn})}
    )
    keys = asyncio.run(people(settings))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOUCHSTONE_RULES_DIR", str(base / "first"))
        with service_process(settings, base / "service.log", 1) as (served, _):
            yield Desk(f"http://127.0.0.1:{served.port}", keys, settings, base)


@pytest.fixture
def fresh_desk(servers: EmbeddedServers, fresh_postgres_url: str, tmp_path: Path) -> Iterator[Desk]:
    """A desk for one test that puts something live."""
    with a_desk(servers, fresh_postgres_url, tmp_path) as desk:
        yield desk


@pytest.fixture(scope="module")
def desk(
    servers: EmbeddedServers, module_postgres_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Desk]:
    """A desk that tests share: take a directory of your own, put nothing live."""
    with a_desk(servers, module_postgres_url, tmp_path_factory.mktemp("desk")) as shared:
        yield shared


def test_from_an_idea_to_live_and_back(fresh_desk: Desk) -> None:
    """Pulled, changed, pushed, submitted, approved by another, live, and taken back."""
    assert "4 files in shop" in fresh_desk.call("ana", "pull", "live", "shop")
    pack = fresh_desk.base / "shop" / COUPONS
    assert pack.read_bytes() == FIRST.texts[COUPONS].encode()
    pack.write_text(variant(4).texts[COUPONS], encoding="utf-8")
    assert "2 rules, no problems" in fresh_desk.run("ana", "check", "shop")
    assert "4 examples, none failed" in fresh_desk.run("ana", "test", "shop")
    said = fresh_desk.call("ana", "diff", "live", "shop")
    assert f"rule {RULE} changed: parameters, when\n" in said
    assert "+  most_accounts: {type: int, value: 4" in said
    said = fresh_desk.call("ana", "push", "shop", "-m", "six was too many")
    version = variant(4).version[:12]
    assert f"{version}  validated" in said
    assert f"next: touchstone rules backtest {version}" in said
    assert "no finished backtest" in fresh_desk.call("ana", "submit", version, fails=True)
    fresh_desk.call("ana", "backtest", version)
    assert "somebody else runs" in fresh_desk.call("ana", "submit", version, "-m", "look")
    said = fresh_desk.call("ana", "approve", version, "--yes", fails=True)
    assert "error: Somebody else must do this. You submitted it" in said
    said = fresh_desk.call("ana", "approve", "latest", fails=True)
    assert "error: Somebody else must do this. You submitted it" in said
    assert "Approve it?" not in said
    assert "Aborted" in fresh_desk.call("bo", "approve", version, fails=True)
    said = fresh_desk.call("bo", "approve", version, "--yes")
    assert "+  most_accounts: {type: int, value: 4" in said
    assert f"{version} is approved" in said
    assert f"candidate  {version} for 5 %" in fresh_desk.call(
        "ana", "rollout", version, "--share", "5"
    )
    assert f"candidate  {version} for 50 %" in fresh_desk.call("ana", "ramp", "--share", "50")
    assert f"live       {version}" in fresh_desk.call("bo", "activate", version)
    said = fresh_desk.call("ana", "rollback", "-m", "alarms")
    assert f"live       {FIRST.version[:12]}" in said
    assert ": alarms" in said
    assert "has lapsed" in fresh_desk.call("ana", "activate", version, fails=True)
    said = fresh_desk.call("ana", "history")
    assert [line.split()[1].strip(",") for line in said.splitlines()[1:3]] == ["retired", "live"]
    said = fresh_desk.call("ana", "history", version)
    assert "rolled out for 5 %" in said
    assert "taken back" in said


def test_what_is_pushed_from_an_old_version_says_so(fresh_desk: Desk) -> None:
    """Who pushes what was pulled before something else became live is told what it takes back."""
    fresh_desk.call("bo", "pull", "live", "old")
    fresh_desk.call("ana", "set", RULE, "most_accounts", "4")
    version = variant(4).version[:12]
    fresh_desk.call("ana", "backtest", version)
    fresh_desk.call("ana", "submit", version)
    fresh_desk.call("bo", "approve", version, "-y")
    fresh_desk.call("bo", "activate", version)
    text = changed(FIRST, ">= 20", ">= 30", LOGINS).texts[LOGINS]
    (fresh_desk.base / "old" / LOGINS).write_text(text, encoding="utf-8")
    said = fresh_desk.call("bo", "push", "old")
    assert f"against {FIRST.version[:12]}: 1 rule changed" in said
    assert f"against {version}, which is live: 2 rules changed" in said
    assert (
        f"touchstone rules diff live {changed(FIRST, '>= 20', '>= 30', LOGINS).version[:12]}"
        in said
    )


def test_problems_are_said_at_once(desk: Desk) -> None:
    """A draft with problems is stored, every problem shown in its line, and the command fails."""
    desk.call("ana", "pull", "live", "wrong")
    files = changed(FIRST, "has_coupon &&", "has_cupon &&", COUPONS)
    files = changed(files, "outcome: challenge", "outcome: chalenge", LOGINS)
    files.write(desk.base / "wrong")
    local = desk.run("ana", "check", "wrong", fails=True)
    said = desk.call("ana", "push", "wrong", fails=True)
    for hint in ("did you mean 'has_coupon'", "did you mean 'challenge'"):
        assert hint in local
        assert hint in said
    assert "stays a draft" in said
    assert "touchstone rules push wrong" in said
    assert "did you mean 'has_coupon'" in desk.call("ana", "check", files.version[:12], fails=True)


def test_a_directory_is_not_overwritten(desk: Desk) -> None:
    """Pulling into a directory with other rules is refused, unless it is asked for."""
    (desk.base / "mine/packs").mkdir(parents=True)
    (desk.base / "mine/packs/mine.yaml").write_text("mine", encoding="utf-8")
    assert "packs/mine.yaml" in desk.call("ana", "pull", "live", "mine", fails=True)
    assert not (desk.base / "mine/policy.yaml").exists()
    desk.call("ana", "pull", "live", "mine", "--overwrite")
    assert not (desk.base / "mine/packs/mine.yaml").exists()


def test_an_emergency_stop(desk: Desk) -> None:
    """One person stops a rule, another confirms, anybody lifts it; slips are explained."""
    said = desk.call("ana", "stop", "coupon-crowded-adress", "-m", "x", fails=True)
    assert f"Did you mean '{RULE}'?" in said
    assert "lapses at" in desk.call("ana", "stop", RULE, "-m", "a dormitory")
    assert f"stopped    {RULE} by ana: a dormitory" in desk.call("bo", "status")
    assert "somebody else confirms" in desk.call("ana", "confirm", RULE, fails=True)
    assert "confirmed by bo" in desk.call("bo", "confirm", RULE)
    assert "has its effect again" in desk.call("ana", "lift", RULE)
    assert "lifted" in desk.call("ana", "stops")


def test_words_that_mean_nothing(desk: Desk) -> None:
    """Missing keys, directories and versions are one clear sentence."""
    assert "an API key is needed" in desk.call("nobody", "status", fails=True)
    assert "there is no directory ./nowhere" in desk.run("ana", "check", "./nowhere", fails=True)
    assert "no packs/" in desk.run("ana", "check", "var/", fails=True)
    assert "No such rule set" in desk.call("ana", "history", "0123456789", fails=True)
    assert "6 or more" in desk.call("ana", "pull", "01", "x", fails=True)
    assert "no rollout is under way" in desk.call("ana", "abort", fails=True)
    assert json.loads(desk.call("ana", "diff", "live", "live", "--json"))["rules"] == []
