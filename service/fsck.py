"""Is anything of the record left lying about, and what is to be done with it?

Looks at the signer's directory, the spools and the queue, and changes nothing. Invariant: clean
means that every acknowledged entry of this machine is in the database, placed and signed, and that
no file waits for anybody.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from service.ledger.spool import SUFFIX
from service.ledger.spooled import spools
from service.settings import Settings
from service.signer.errors import SignerBroken
from service.signer.standing import LOOK_SECONDS, PATIENCE_SECONDS, disagreement
from service.signer.state import FRESH, SignerFiles, State
from service.signer.words import Language, say

_PLACED = """
SELECT (SELECT count(*) FROM ledger_queue), coalesce((SELECT size FROM ledger_tree), 0),
       coalesce((SELECT size FROM ledger_checkpoint ORDER BY id DESC LIMIT 1), 0)
"""
_LAST_NOTE = "SELECT note FROM ledger_checkpoint ORDER BY id DESC LIMIT 1"


class Item(NamedTuple):
    """One thing that was seen: a code of `words.yaml` and its details. `is_fine`: it may stay."""

    code: str
    details: tuple[object, ...] = ()
    is_fine: bool = False

    def text(self, language: Language) -> str:
        """Return it as a line for people."""
        return say(self.code, language, *self.details)


async def look_over(connection: Any, settings: Settings) -> list[Item]:
    """Return what was seen, the gravest first; raises what asyncpg raises."""
    items = await _signer_items(connection, settings)
    for spool in await spools(connection, settings.var / "spool"):
        if spool.damaged:
            items.append(Item("spool_damaged", (spool.path, spool.damaged)))
        elif spool.is_living:
            items.append(Item("living", (spool.path, spool.waiting), is_fine=True))
        elif spool.waiting:
            items.append(Item("spool_waits", (spool.path, spool.waiting)))
        elif spool.path.suffix == SUFFIX:
            items.append(Item("spool_left", (spool.path,)))
    queued, unsigned, signed = await _waiting(connection)
    if queued:
        items.append(Item("queue_waits", (queued,)))
    if unsigned:
        items.append(Item("unsigned_waits", (unsigned,)))
    folders = {settings.kek_path.parent, settings.tag_key_path.parent}
    items += [
        Item("half_written", (path,))
        for folder in sorted(folders)
        for path in _half_written(folder)
    ]
    if all(item.is_fine for item in items):
        items.insert(0, Item("clean", (signed,), is_fine=True))
    return items


async def _signer_items(connection: Any, settings: Settings) -> list[Item]:
    files = SignerFiles(settings.signer_dir)
    refusal = await disagreement(connection, settings)
    if refusal is not None:
        return [Item("disagrees", refusal)]
    state = files.load()
    if state is None:
        return [Item("no_signer", (files.directory,), is_fine=True)] if settings.ledger.sign else []
    items = []
    try:
        files.private_key(state.keys[-1].verifier)
    except SignerBroken as error:
        items.append(Item("disagrees", (error.code, error)))
    items += [Item("leftover", (path,)) for path in files.leftovers(state)]
    if not await _is_published(connection, files, state):
        items.append(Item("unpublished", (files.state_path,)))
    return items


async def _is_published(connection: Any, files: SignerFiles, state: State) -> bool:
    """Whether the last checkpoint is in the database; a running signer gets a moment."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while state.checkpoint is not None:
        if await connection.fetchval(_LAST_NOTE) == state.checkpoint:
            return True
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(LOOK_SECONDS)
        state = files.load() or state
    return True


async def _waiting(connection: Any) -> tuple[int, int, int]:
    """Return how many entries wait for their place, how many for a signature, and the signed.

    Under load some always wait: what counts is whether those that were there move on.
    """
    queued, placed, signed = await connection.fetchrow(_PLACED)
    first_queued, first_placed = queued, placed
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if placed >= first_placed + first_queued and signed >= first_placed + first_queued:
            return 0, 0, signed
        await asyncio.sleep(LOOK_SECONDS)
        queued, placed, signed = await connection.fetchrow(_PLACED)
    return queued, max(placed - signed, 0), signed


def _half_written(folder: Path) -> Iterator[Path]:
    yield from sorted(folder.glob(f"*{FRESH}"))
