"""How is a report computed beside the service? In a process that is told its question on stdin.

It says how far it is in lines of JSON on stdout; the last one is the report, a refusal or an error.
Invariant: it is told every setting, and takes none from its environment.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel

from service.rule_sets.errors import WrongState
from service.settings import Settings

Question = TypeVar("Question", bound=BaseModel)
Progress = Callable[[int, int], None]
"""Told how many decisions were read, of how many."""

# Decisions come first: the service's workers are at 0.
NICE = 10

log = logging.getLogger(__name__)


def order_text(settings: Settings, question: BaseModel) -> bytes:
    """Return what the process reads."""
    return orjson.dumps(
        {
            "settings": settings.model_dump(mode="json"),
            "question": question.model_dump(mode="json"),
        }
    )


def answer(
    asked: type[Question],
    compute: Callable[[Settings, Question, Progress], Awaitable[BaseModel]],
) -> int:
    """Read one question, have it computed, and say what comes of it; return the exit status.

    `compute` may raise `WrongState`, which is for whoever asked; all else is an error of the
    service. SIGTERM ends it through every `finally`.
    """
    os.nice(NICE)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    order = orjson.loads(sys.stdin.buffer.read())
    settings, question = Settings(**order["settings"]), asked.model_validate(order["question"])

    async def computed() -> BaseModel:
        return await compute(settings, question, _say_progress)

    try:
        report = asyncio.run(computed())
    except BrokenPipeError:
        return 1
    except WrongState as refused:
        _say({"refused": refused.detail})
        return 1
    except Exception as error:
        if not hasattr(error, "code"):
            log.exception("a report could not be computed")
        _say({"error": str(error) if hasattr(error, "code") else type(error).__name__})
        return 1
    _say({"report": report.model_dump(mode="json")})
    return 0


def _say_progress(done: int, total: int) -> None:
    _say({"done": done, "total": total})


def _say(line: dict[str, Any]) -> None:
    sys.stdout.buffer.write(orjson.dumps(line) + b"\n")
    sys.stdout.buffer.flush()
