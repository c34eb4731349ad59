"""The processes into whose system calls faults are injected; started by `faults.py`.

`python -m tests.soak.fault_child` reads a line `SCENARIO DSN DIRECTORY` for each trial, forks a
child that has everything loaded already, and passes on what it says: `ready PID`, then, when the
next line has come, `ack ENTRY` for each acknowledged entry, `signed NOTE` for each published
checkpoint, and `ended STATUS`. A child tries again what failed, as sequencer, signer and writer do.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from service.ledger.errors import LedgerError, LedgerUnavailable
from service.ledger.keys import FileKek, Keyring
from service.ledger.writer import LedgerWriter, WriterSettings
from service.signer.rotation import rotate
from service.signer.signer import Signer
from tests.integration.ledger_cases import KEK, draft
from tests.keeping import sequenced

LOG = "test"
ATTEMPTS = 4
AWAY = "postgresql://nobody@/nothing?host=/nonexistent"


def _say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


async def _started(dsn: str, base: Path) -> LedgerWriter:
    for _ in range(ATTEMPTS):
        with contextlib.suppress(LedgerError, OSError):
            settings = WriterSettings(dsn, LOG, base / "spool")
            return await LedgerWriter.start(settings, Keyring(FileKek(KEK)))
    raise SystemExit(3)


async def _append(writer: LedgerWriter, count: int) -> None:
    for _ in range(count):
        entry = draft(os.urandom(8).hex())
        with contextlib.suppress(LedgerUnavailable):
            await writer.append(entry, timeout_s=5)
            _say(f"ack {entry.entry_id.hex()}")


async def _tried(act: Callable[[], Awaitable[object]]) -> object:
    for _ in range(ATTEMPTS):
        with contextlib.suppress(LedgerError, OSError):
            return await act()
    return None


async def signing(dsn: str, base: Path) -> None:
    """A signer from its first key on: three checkpoints and a rotation."""
    writer = await _started(dsn, base)
    signer: Signer | None = None

    async def signed() -> None:
        nonlocal signer
        if signer is None:
            signer = await Signer.open(base / "signer", dsn, LOG)
        if (checkpoint := await signer.sign()) is not None:
            _say(f"signed {checkpoint.size} {checkpoint.root.hex()}")

    for step in range(3):
        await _append(writer, 1)
        await sequenced(dsn, LOG)
        await _tried(signed)
        if step == 1:
            await _tried(lambda: rotate(base / "signer", dsn))
    if signer is not None:
        await signer.close()
    await writer.close()


async def spooling(_dsn: str, base: Path) -> None:
    """A writer whose PostgreSQL is away: six entries go to the spool."""
    writer = await _started(AWAY, base)
    await _append(writer, 6)
    await writer.close()


async def draining(dsn: str, base: Path) -> None:
    """A writer that brings in what `spooling` left, and goes on."""
    writer = await _started(dsn, base)
    await _append(writer, 2)
    await writer.close()


SCENARIOS = {"signing": signing, "spooling": spooling, "draining": draining}


def _trial(name: str, dsn: str, base: Path, go: int) -> None:
    try:
        _say(f"ready {os.getpid()}")
        os.read(go, 1)
        asyncio.run(SCENARIOS[name](dsn, base))
    except SystemExit as error:
        os._exit(int(str(error.code)))
    except BaseException as error:  # noqa: BLE001 -- said, and the trial goes on in the parent
        _say(f"failed {type(error).__name__}: {error}".partition("\n")[0])
        os._exit(1)
    os._exit(0)


def main() -> None:
    """Run trials until standard input ends."""
    for line in sys.stdin:
        name, dsn, base = line.split()
        go, gone = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(gone)
            _trial(name, dsn, Path(base), go)
        os.close(go)
        sys.stdin.readline()
        with contextlib.suppress(OSError):
            os.write(gone, b"g")
        _, status = os.waitpid(pid, 0)
        os.close(gone)
        _say(f"ended {os.waitstatus_to_exitcode(status)}")


if __name__ == "__main__":
    main()
