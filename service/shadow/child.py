"""What would other rule sets have decided? A process beside one worker.

Reads decisions from its worker, asks every set in shadow, counts, and writes the counts to the
database. Invariant: nothing but counts of work leaves it towards the worker; it ends with the
worker, and by itself when it hangs. `python -m service.shadow.child`.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import logging
import os
import signal
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import orjson

from rules.errors import RulesError
from rules.files import RuleSetFiles
from rules.human_review import needs_human
from rules.policy import settle
from rules.ruling import Ruling
from service.brain import marked
from service.history.money import amount_in
from service.ledger.drain import AWAY
from service.shadow.tally import Tally, live_of
from service.shadow.wire import read_frame

log = logging.getLogger(__name__)

FLUSH_SECONDS = 1.0
CONNECT_SECONDS = 5.0
# Without a turn of the loop for this long the process ends itself, and its worker starts another.
# On a busy machine it gets a fiftieth of a CPU, which makes 0.5 s of turns that take 10 ms.
HUNG_SECONDS = 30.0
# So long may one set take to load: 1,000 rules take 2 s of CPU.
LOAD_SECONDS = 120.0
# A decision of 1,000 rules takes 2.5 ms. A set that takes this long, so often, is left out.
SLOW_SECONDS = 0.25
SLOW_TIMES = 5
TURN_TASKS = 20
NICE = 10
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Shadows:
    """The sets in shadow, and what they did."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.done = 0
        self.errors = 0
        self.failed: dict[str, str] = {}
        self._rulings: dict[str, Ruling] = {}
        self._versions: tuple[str, ...] = ()
        self._stopped: frozenset[str] = frozenset()
        self._slow: dict[str, int] = {}

    def set_up(self, message: Mapping[str, Any]) -> None:
        """Ask these sets from here on; what cannot be loaded is in `failed`."""
        self._versions = tuple(message["versions"])
        self._stopped = frozenset(message["stopped"])
        self.failed = {v: why for v, why in self.failed.items() if v in self._versions}
        for version, texts in message["texts"].items():
            faulthandler.dump_traceback_later(LOAD_SECONDS, exit=True)
            try:
                files = RuleSetFiles.of(texts)
                self._rulings[version] = Ruling.load(files, message["types"])
            except RulesError as error:
                self.failed[version] = f"it cannot be used ({error.code})"
        for version in [v for v in self._rulings if v not in self._versions]:
            del self._rulings[version]
        faulthandler.dump_traceback_later(HUNG_SECONDS, exit=True)

    def listed(self) -> list[tuple[str, str]]:
        """Return list and kind of every look-up that a rule asks for."""
        every = (one for ruling in self._rulings.values() for one in ruling.engine.listed)
        return sorted({(one.list, one.kind) for one in every})

    def decide(self, task: Mapping[str, Any]) -> None:
        """Ask every set about one event; whatever goes wrong is counted."""
        self.done += 1
        facts = {name: value for name, value in task["facts"].items() if value is not None}
        live = live_of(task, amount_in(facts))
        at = _EPOCH + timedelta(milliseconds=live.at_ms)
        for version in self._versions:
            ruling = self._rulings.get(version)
            if ruling is None or version in self.failed:
                self.tally.add_failed(version, live.at_ms)
                continue
            began = time.perf_counter()
            try:
                hits = ruling.engine.evaluate(live.event_type, facts, at)
                marks = marked(hits, self._stopped)
                decision = settle(
                    ruling.policy, live.event_type, task["score"], marks, task["gaps"],
                    needs_human=needs_human(facts),
                )  # fmt: skip
                self.tally.add(version, live, decision)
            except Exception:  # whatever a set does, the others are asked
                log.exception("rule set %s in shadow failed", version[:16])
                self.errors += 1
                self.tally.add_failed(version, live.at_ms)
            if time.perf_counter() - began > SLOW_SECONDS:
                self._note_slow(version)

    def drop(self, count: int) -> None:
        """Count tasks that were never sent."""
        self.tally.add_dropped(self._versions, count, time.time_ns() // 1_000_000)

    def _note_slow(self, version: str) -> None:
        self._slow[version] = self._slow.get(version, 0) + 1
        if self._slow[version] >= SLOW_TIMES:
            self.failed[version] = f"it took more than {SLOW_SECONDS} s an event"


async def run() -> None:
    """Work until the worker closes the pipe."""
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer
    )
    start = await read_frame(reader)
    if start is None:
        return
    shadows, ends = Shadows(), asyncio.Event()
    flusher = asyncio.create_task(_keep_flushing(shadows, start["dsn"], ends))
    try:
        await _work(shadows, reader)
    finally:
        ends.set()
        await flusher
        transport.close()


async def _work(shadows: Shadows, reader: asyncio.StreamReader) -> None:
    turn = 0
    while (message := await read_frame(reader)) is not None:
        kind = message["kind"]
        if kind == "task":
            shadows.decide(message)
        elif kind == "sets":
            shadows.set_up(message)
            _tell(ready=True, failed=shadows.failed, listed=shadows.listed())
        elif kind == "dropped":
            shadows.drop(message["count"])
        turn += 1
        if turn % TURN_TASKS == 0:
            await asyncio.sleep(0)


async def _keep_flushing(shadows: Shadows, dsn: str, ends: asyncio.Event) -> None:
    """Write the counts every second, and once more at the end."""
    connection: Any = None
    told = -1
    while True:
        is_last, done, errors = ends.is_set(), shadows.done, shadows.errors
        faulthandler.dump_traceback_later(HUNG_SECONDS, exit=True)
        try:
            if connection is None or connection.is_closed():
                connection = await asyncpg.connect(dsn, timeout=CONNECT_SECONDS)
            await shadows.tally.flush(connection)
        except AWAY as error:
            log.warning("counts of shadows wait: %s", type(error).__name__)
        except asyncpg.PostgresError:
            log.exception("counts of shadows could not be written")
        if told != done:
            told = done
            _tell(done=done, errors=errors, failed=shadows.failed)
        if is_last:
            break
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_SECONDS):
                await ends.wait()
    if connection is not None:
        with contextlib.suppress(Exception):  # it may be broken already: nothing is lost
            await connection.close(timeout=CONNECT_SECONDS)


def _tell(**message: Any) -> None:
    sys.stdout.buffer.write(orjson.dumps(message) + b"\n")
    sys.stdout.buffer.flush()


def main() -> None:
    """Run beside the worker that started this process."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the worker, which ends this
    with contextlib.suppress(OSError):
        os.nice(NICE)
    with contextlib.suppress(BrokenPipeError):  # the worker is gone
        asyncio.run(run())


if __name__ == "__main__":
    main()
