"""Is every forgery of a package seen, and is no clean one taken for a forgery?

Every byte of a package of 200 entries flipped, every attack of `tests/package_attacks.py`, and
clean packages of random logs. Invariant: a flip is tried on the whole package: the verifier that
meets it is a copy (fork) of one that has read everything before it.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from io import BytesIO

from service.audit.package import verify
from service.ledger.entry import EntryDraft
from service.ledger.keys import FileKek, Keyring
from service.ledger.row import numbered, sealed
from service.ledger.seal import block_secret
from tests.made_packages import NOON, MadeLog, checked, made_log, made_package
from tests.package_attacks import AFTER, BY_THE_EXPORTER, case

PIECE = 4096


class Done(Exception):
    """The places of a piece are tried; the verifier that was copied need not go on."""


class Tape(BytesIO):
    """A package of which, when a piece is about to be read, a copy meets each flip of it."""

    def __init__(self, package: bytes, places: range) -> None:
        super().__init__(package)
        self._places = places
        self.is_copy = False
        self.unseen: list[int] = []

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next bytes; in a copy one of their bits is another."""
        begin = self.tell()
        data = bytearray(super().read(size))
        mine = [place for place in self._places if begin <= place < begin + len(data)]
        if self.is_copy or not mine:
            return bytes(data)
        for place in mine:
            child = os.fork()
            if child == 0:
                self.is_copy = True
                data[place - begin] ^= 1 << place % 8
                return bytes(data)
            _, status = os.waitpid(child, 0)
            if os.waitstatus_to_exitcode(status) != 1:
                self.unseen.append(place)
        if mine[-1] == self._places[-1]:
            raise Done
        return bytes(data)


def tried(package: bytes, vkey: str, places: range) -> list[int]:
    """Return the places whose flip nobody saw."""
    tape = Tape(package, places)
    keys = verify.read_keys([vkey])
    verifier = verify.Verifier(tape, keys, {}, None)
    try:
        verifier.run()
        code = 1 if verifier.flaws else 0
    except Done:
        return tape.unseen
    except Exception:  # noqa: BLE001 -- as `check` does
        code = 1
    if tape.is_copy:
        os._exit(code)
    raise AssertionError("the piece was not read")


def small_log(entries: int) -> MadeLog:
    """Return a log whose entries say as little as entries can."""
    log, ring = MadeLog(), Keyring(FileKek(os.urandom(32)))
    for number in range(entries):
        draft = EntryDraft(
            entry_id=os.urandom(16),
            type="event" if number % 2 else "decision",
            event_key=None,
            body_hash=None,
            observed_at=datetime.fromtimestamp(NOON + number, UTC),
            versions={},
            core=b'{"answer":{"outcome":"review"}}',
            subject=b"{}" if number % 10 == 0 else None,
            subject_tag="user:a" if number % 10 == 0 else None,
        )
        entry = sealed(draft, log.name, ring)
        log.rows.append(numbered(entry, b"w" * 16, number + 1))
        keys = {"core": entry.month_keys[0].key}
        log.secrets.append(
            {block: block_secret(key, entry.entry_id, block) for block, key in keys.items()}
        )
    return log


def _pieces(length: int) -> Iterator[range]:
    for begin in range(0, length, PIECE):
        yield range(begin, min(begin + PIECE, length))


def flips(entries: int, workers: int) -> tuple[int, list[int]]:
    """Flip every byte of a package; return how many, and the unseen ones."""
    log = small_log(entries)
    package = made_package(log, 0, entries, earlier=(entries // 2,))
    assert checked(package, log.vkey)[0] == 0
    unseen: list[int] = []
    with ProcessPoolExecutor(workers) as pool:
        jobs = [pool.submit(tried, package, log.vkey, places) for places in _pieces(len(package))]
        for number, job in enumerate(jobs, 1):
            unseen += job.result()
            if not number % 16:
                _say(f"  {number * PIECE} of {len(package)} bytes, unseen: {len(unseen)}")
    return len(package), unseen


def clean(count: int, seed: int) -> int:
    """Return how many clean packages of random logs raised an alarm."""
    chance, alarms = random.Random(seed), 0
    for _ in range(count):
        log = made_log(chance, chance.randint(0, 40))
        size = len(log.rows)
        first = chance.randint(0, size)
        last = chance.randint(first, size)
        earlier = sorted(chance.sample(range(size + 1), min(size, 3)))
        package = made_package(
            log,
            first,
            last,
            earlier=earlier,
            blocks=chance.sample(verify.BLOCKS, chance.randint(0, 3)),
            filter=chance.choice((None, [], ["decision"], ["event", "rules.push"])),
        )
        since = log.checkpoint(chance.choice(earlier or [0]))
        alarms += checked(package, log.vkey, since)[0] != 0
    return alarms


def main(arguments: Sequence[str]) -> int:
    """Run all three; return 1 when a forgery was not seen or a clean package was refused."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--entries", type=int, default=200)
    parser.add_argument("--clean", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args(arguments)
    one, missed = case(), []
    for attacks in (AFTER, BY_THE_EXPORTER):
        for name, (attack, expected) in attacks.items():
            code, _ = checked(attack(one), one.log.vkey)
            missed += [name] if code != expected else []
    _say(f"structural attacks: {len(AFTER) + len(BY_THE_EXPORTER)}, answered wrongly: {missed}")
    began = time.monotonic()
    alarms = clean(given.clean, given.seed)
    _say(f"clean packages: {given.clean}, alarms: {alarms} ({time.monotonic() - began:.0f} s)")
    began = time.monotonic()
    tries, unseen = flips(given.entries, given.workers)
    _say(
        f"bytes flipped in a package of {given.entries} entries: {tries}, unseen: {len(unseen)} "
        f"({time.monotonic() - began:.0f} s)"
    )
    return 1 if missed or alarms or unseen else 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
