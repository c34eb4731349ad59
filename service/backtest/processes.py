"""How do several processes share one backtest?

Each part runs in a process of its own and tells through a pipe how far it is. Invariant: when
`run_parts` ends, however it does, none of its processes is left; one that dies by itself fails the
whole, as a result that lacks a part would be wrong.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

from service.backtest.errors import BacktestError
from service.backtest.order import Order
from service.backtest.part import PartResult, work

Progress = Callable[[int], None]
"""Told twice a second, and at every step, how many entries were read in all."""

BEAT_SECONDS = 0.5
STOP_SECONDS = 5.0


def run_parts(orders: Sequence[Order], progress: Progress) -> list[PartResult]:
    """Carry out the parts, each in its process, and return what they found, in order.

    Raises `BacktestError`. A `progress` that raises stops everything.
    """
    context = multiprocessing.get_context("spawn")
    waiting: dict[Connection, int] = {}
    processes = []
    results: dict[int, PartResult] = {}
    done = 0
    try:
        for number, order in enumerate(orders):
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=_part, args=(order, theirs), daemon=True)
            process.start()
            theirs.close()
            processes.append(process)
            waiting[ours] = number
        while waiting:
            for found in wait(list(waiting), BEAT_SECONDS):
                assert isinstance(found, Connection)
                kind, content = _received(found)
                if kind == "read":
                    done += content
                elif kind == "failed":
                    raise BacktestError(content)
                else:
                    results[waiting.pop(found)] = content
                    found.close()
            progress(done)
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.join(STOP_SECONDS)
            if process.is_alive():
                process.kill()
                process.join()
        for connection in waiting:
            connection.close()
    return [results[number] for number in range(len(orders))]


def _received(connection: Connection) -> tuple[str, Any]:
    try:
        kind, content = connection.recv()
    except EOFError:
        raise BacktestError(
            "a process of the backtest ended by itself: it was killed, or memory was short"
        ) from None
    return kind, content


def _part(order: Order, connection: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who started this decides what Ctrl-C does
    try:
        result = work(order, lambda read: connection.send(("read", read)))
    except BrokenPipeError:
        return
    except Exception as error:
        if not hasattr(error, "code") and not isinstance(error, OSError):
            connection.send(("failed", f"an error of ours: {type(error).__name__}: {error}"))
            raise
        connection.send(("failed", str(error) or type(error).__name__))
    else:
        connection.send(("result", result))
