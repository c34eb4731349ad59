"""Reports are computed in a process beside the service; whatever that does, its worker goes on."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import psutil
import pytest

import service.children
import service.evidence.reports
from service.evidence.reports import ReportFailed, ReportPending, Reports
from service.rule_sets.errors import WrongState
from service.settings import Settings
from tests.integration.report_child import Question, Report

MODULE = "tests.integration.report_child"


def reports_of(tmp_path: Path, fresh_seconds: float = 60.0) -> Reports[Question, Report]:
    """Return reports that are computed by `report_child.py`."""
    settings = Settings(var=tmp_path)
    return Reports(settings, MODULE, Report, fresh_seconds)


async def test_a_question_is_answered_once_for_all_who_ask(tmp_path: Path) -> None:
    """Who asks the same, at a time or soon after, gets the same report; others another."""
    async with reports_of(tmp_path) as reports:
        first, second = await asyncio.gather(
            reports.report(Question(what="a")), reports.report(Question(what="a"))
        )
        assert first is second is await reports.report(Question(what="a"))
        assert (first.var, first.pid != os.getpid()) == (str(tmp_path), True)
        assert (await reports.report(Question(what="b"))).pid != first.pid
        reports.fresh_seconds = 0
        assert (await reports.report(Question(what="a"))).pid != first.pid


async def test_what_goes_wrong_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An error and a death are failures and are logged; a refusal has its sentence."""
    async with reports_of(tmp_path) as reports:
        for what in ("raise", "die", "raise"):
            with pytest.raises(ReportFailed):
                await reports.report(Question(what=what))
        with pytest.raises(WrongState, match="nothing to report"):
            await reports.report(Question(what="refuse"))
        assert (await reports.report(Question(what="a"))).pid
    assert "KeyError" in caplog.text
    assert "ended without a report" in caplog.text


async def test_a_process_that_hangs_ends_with_its_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asks is told how far it is; it is killed when it does not listen."""
    monkeypatch.setattr(service.evidence.reports, "PATIENCE_SECONDS", 0.1)
    async with reports_of(tmp_path) as reports:
        said = ""
        async with asyncio.timeout(30):
            while "7 of 9" not in said:
                with pytest.raises(ReportPending) as pending:
                    await reports.report(Question(what="hang"))
                said = str(pending.value)
        [child] = [one for one in psutil.Process().children() if MODULE in one.cmdline()]
        began = time.monotonic()
    assert not child.is_running()
    assert time.monotonic() - began < service.children.PATIENCE_SECONDS + 5
