"""Sequencer and signer that hang: who notices, and what becomes of them."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from service.tree_keepers import TreeKeepers
from tests.integration.sequencer_cases import LOG, add_rows, queue_is_empty, until

pytest_plugins = ["tests.integration.ledger_fixtures"]
MODULES = ["service.sequencer", "service.signer"]
# Five times what a start takes.
HUNG_SECONDS = 6.0


@pytest.fixture
def environment(ledger_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of a service, where its children find them."""
    monkeypatch.setenv("TOUCHSTONE_POSTGRES__URL", ledger_dsn)
    monkeypatch.setenv("TOUCHSTONE_LEDGER__LOG_NAME", LOG)
    monkeypatch.setenv("TOUCHSTONE_VAR", str(tmp_path))


@pytest.mark.usefixtures("environment")
async def test_frozen_ones_are_replaced_and_living_ones_are_left_alone(connection: Any) -> None:
    """Frozen they are killed and others do their work; before that nobody was killed."""
    keepers = TreeKeepers(MODULES, hung_seconds=HUNG_SECONDS)
    try:
        assert keepers.revive() == []
        first = _pids()
        assert list(first) == MODULES
        assert await _revived(keepers, 1, HUNG_SECONDS * 1.2) == []
        assert _pids() == first
        for pid in first.values():
            os.kill(pid, signal.SIGSTOP)
        assert sorted(await _revived(keepers, 2, HUNG_SECONDS * 3)) == MODULES
        assert not set(first.values()) & set(_pids().values())
        await add_rows(connection, 10)
        await until(lambda: queue_is_empty(connection))
        await until(lambda: _is_signed(connection))
    finally:
        keepers.stop()
    assert _pids() == {}


@pytest.mark.usefixtures("environment")
def test_it_ends_when_nobody_listens_any_more(tmp_path: Path) -> None:
    """Also where no signal comes for the death of a parent."""
    listens, speaks = os.pipe()
    command = [sys.executable, "-m", "service.sequencer", str(speaks)]
    process = subprocess.Popen(command, pass_fds=(speaks,))
    os.close(speaks)
    assert os.read(listens, 1) == b"."
    assert process.poll() is None
    os.close(listens)
    assert process.wait(20) == 0


async def _revived(keepers: TreeKeepers, count: int, seconds: float) -> list[str]:
    """Do what the supervisor does until so many run again, and return their names."""
    again: list[str] = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and len(again) < count:
        again += keepers.revive()
        await asyncio.sleep(0.2)
    return again


def _pids() -> dict[str, int]:
    found = {}
    for one in psutil.Process().children():
        words = one.cmdline()
        if "-m" in words:
            found[words[words.index("-m") + 1]] = one.pid
        elif one.status() != psutil.STATUS_ZOMBIE and "service.s" in words[-1]:
            found[words[-1].split('"-m", "')[1].split('"')[0]] = one.pid  # about to become it
    return found


async def _is_signed(connection: Any) -> bool:
    return bool(await connection.fetchval("SELECT max(size) = 10 FROM ledger_checkpoint"))
