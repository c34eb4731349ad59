"""The process of `test_reports.py`: it does what its question says."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from pydantic import BaseModel, ConfigDict

from service.evidence.report_child import Progress, answer
from service.rule_sets.errors import WrongState
from service.settings import Settings


class Question(BaseModel):
    """What is to happen."""

    model_config = ConfigDict(frozen=True)

    what: str


class Report(BaseModel):
    """Which process says it, and under which settings."""

    pid: int
    var: str


async def report(settings: Settings, question: Question, progress: Progress) -> Report:
    """Report, or go wrong as the question says."""
    match question.what:
        case "raise":
            raise KeyError("a bug")
        case "refuse":
            raise WrongState("There is nothing to report.")
        case "die":
            os._exit(1)
        case "hang":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            progress(7, 9)
            await asyncio.sleep(60)
    return Report(pid=os.getpid(), var=str(settings.var))


if __name__ == "__main__":
    sys.exit(answer(Question, report))
