"""What lies in the spools of this machine that the database does not have?

Reads every file as the drain would and changes none. Invariant: what cannot be read is counted as
damaged, never as empty.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Any, NamedTuple

from service.ledger.errors import SpoolBroken
from service.ledger.frames import decoded
from service.ledger.spool import DAMAGED, SUFFIX, Damage, Spool
from service.ledger.table import stored_entry_ids


class SpoolFile(NamedTuple):
    """A spool: entries that are not in the database, places that cannot be read, who has it."""

    path: Path
    waiting: int
    damaged: int
    is_living: bool


async def spools(connection: Any, directory: Path) -> list[SpoolFile]:
    """Return every spool file of a directory, and how many entries of it are not stored."""
    found = []
    for path in _paths(directory):
        waiting = damaged = 0
        try:
            spool = Spool.peek(path)
        except SpoolBroken:
            if path.exists():
                found.append(SpoolFile(path, 0, 1, is_living=False))
            continue
        try:
            for piece in spool.groups():
                if isinstance(piece, Damage):
                    damaged += not piece.torn
                    continue
                ids = [row.entry_id for row in decoded(piece.payload).rows]
                waiting += len(set(ids) - await stored_entry_ids(connection, ids))
        except SpoolBroken:
            damaged += 1
        finally:
            spool.release()
        found.append(SpoolFile(path, waiting, damaged, _is_held(path)))
    return found


def _paths(directory: Path) -> list[Path]:
    return sorted(path for path in directory.glob("*") if path.suffix in (SUFFIX, DAMAGED))


def _is_held(path: Path) -> bool:
    """Whether a living process has the spool."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
