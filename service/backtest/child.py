"""How does a backtest run beside the service? As a process of its own, told its order on stdin.

It says how far it is in lines of JSON on stdout; the last one is the result or an error. Invariant:
it writes to nothing else, and ends soon after whoever started it.
"""

from __future__ import annotations

import logging
import os
import resource
import signal
import sys
from datetime import datetime
from typing import Any

import orjson

from service.backtest.order import Order, Recorded
from service.backtest.run import run
from service.settings import Settings

# Decisions come first: the service's workers are at 0.
NICE = 10
# What a rule set may make a process take (address space; a backtest of any length takes 300 MB).
MEMORY_BYTES = 8 << 30
PROCESSES = 2

log = logging.getLogger(__name__)


def order_text(
    settings: Settings, request: dict[str, Any], candidate: dict[str, str], baseline: dict[str, str]
) -> bytes:
    """Return what the process reads: everything that it needs, nothing from the environment."""
    return orjson.dumps(
        {
            "settings": settings.model_dump(mode="json"),
            "request": request,
            "candidate": candidate,
            "baseline": baseline,
        }
    )


def order_of(text: bytes) -> Order:
    """Return the order that a text says."""
    told = orjson.loads(text)
    request = told["request"]
    return Order(
        settings=Settings(**told["settings"]),
        candidate=told["candidate"],
        baseline=told["baseline"],
        source=Recorded(
            request["since_ms"],
            request["until_ms"],
            datetime.fromisoformat(request["labels_as_of"]),
        ),
        segments=tuple(request["segments"]),
        processes=PROCESSES,
    )


def main() -> int:
    os.nice(NICE)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # through every `finally`
    order = order_of(sys.stdin.buffer.read())
    try:
        result = run(order, lambda done, total: _say({"done": done, "total": total}))
    except BrokenPipeError:
        return 1
    except Exception as error:
        if not hasattr(error, "code"):
            log.exception("a backtest failed")
            _say({"error": f"An error of ours ({type(error).__name__}); the log says more."})
            return 1
        _say({"error": str(error)})
        return 1
    _say({"result": result})
    return 0


def _say(line: dict[str, Any]) -> None:
    sys.stdout.buffer.write(orjson.dumps(line) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
