"""How does the log go on after entries, or the signing key, were lost for good?

Under another origin, NAME/2, over the tree as it is in the database, with a fresh key that the lost
tree's key hands over to. Invariant: no checkpoint of the old origin is ever signed again, and what
was lost stays on record: the last checkpoint before, in the entry and in the signer's directory.
"""

from __future__ import annotations

import re
import time
from typing import Any, NamedTuple

from service.ledger.note import Checkpoint, checkpoint_text, parse_vkey, sign_line
from service.ledger.tree.hashes import leaf_hash
from service.ledger.tree.peaks import Peaks
from service.signer.agreement import check_agreement, check_unsigned, placed_tree
from service.signer.errors import LogForked, OtherSigner, SignerRefuses
from service.signer.publishing import publish, report
from service.signer.rotation import handed_over
from service.signer.state import KeyLink, SignerFiles, State

CHUNK = 4096

_LEAVES = """
SELECT leaf.idx, leaf.hash, entry.header
FROM ledger_leaf leaf LEFT JOIN ledger_entry entry USING (entry_id)
WHERE leaf.idx >= $1 AND leaf.idx < $2 ORDER BY leaf.idx
"""
_KEYS = "SELECT vkey, statement FROM ledger_signer_key ORDER BY position"
_ADD_KEY = """
INSERT INTO ledger_signer_key (position, vkey, statement) VALUES ($1, $2, $3)
ON CONFLICT (position) DO NOTHING
"""
_RENAME = """
INSERT INTO ledger_tree (origin) VALUES ($1)
ON CONFLICT (is_it) DO UPDATE SET origin = excluded.origin
"""
_NUMBERED = re.compile(r"(.+)/([0-9]+)")


class Continued(NamedTuple):
    """What was lost, and what the log is from here on. `wrong`: entries here that were changed."""

    before: str
    origin: str
    lost: str | None
    signed: int
    here: int
    wrong: int
    vkey: str


async def loss(connection: Any, files: SignerFiles, log: str) -> tuple[State | None, SignerRefuses]:
    """Return the signer's state and what keeps it from signing.

    Raises `LogForked` when nothing does: then there is nothing to accept.
    """
    state = files.load()
    try:
        if state is None:
            await check_unsigned(connection)
        else:
            await check_agreement(connection, state)
            await _check_unsigned_rows(connection, state)
    except SignerRefuses as error:
        return state, error
    raise LogForked(f"nothing of {log} is missing: there is no loss to accept")


async def continue_log(connection: Any, files: SignerFiles, log: str) -> Continued:
    """Accept the loss and go on; to be called in a transaction, which the caller commits.

    Cut short anywhere, it can be called again. Raises `SignerRefuses` when there is no loss or the
    stored tree is not that of its leaves, `SignerBroken` and what asyncpg raises.
    """
    async with files.locked():
        state, _ = await loss(connection, files, log)
        tree = await placed_tree(connection)
        peaks, wrong = await _stored_leaves(connection, 0 if tree is None else tree.size)
        if tree is not None and peaks.to_bytes() != tree.peaks:
            raise LogForked(
                "the stored tree is not that of its leaves, so there is nothing to go on with: "
                "restore a backup"
            )
        before = (log if state is None else state.origin) if tree is None else tree.origin
        if state is not None and state.origin != before and _is_of(state, peaks):
            # Cut short before: its files are written, the database is not.
            after, lost = state, files.load(_copy_name(before))
        else:
            lost = state
            after = _fresh(files, state, await _known_keys(connection), before, log, peaks)
        for position, link in enumerate(after.keys, 1):
            await connection.execute(_ADD_KEY, position, link.vkey, link.statement)
        await connection.execute(_RENAME, after.origin)
        await publish(connection, after)
        await report(connection, None)
        return Continued(
            before=before,
            origin=after.origin,
            lost=None if lost is None else lost.checkpoint,
            signed=0 if lost is None else lost.size,
            here=peaks.size,
            wrong=wrong,
            vkey=after.keys[-1].vkey,
        )


def _fresh(
    files: SignerFiles,
    state: State | None,
    known: tuple[KeyLink, ...],
    before: str,
    log: str,
    peaks: Peaks,
) -> State:
    """Write the state of the next origin, and keep the one before."""
    origin = _next_origin(log, before, *(() if state is None else (state.origin,)))
    if state is None:
        link = KeyLink(str(files.new_key(origin)), None)
        keys = (*known, link)
    else:
        if known != state.keys[: len(known)]:
            raise OtherSigner(
                "the database knows later keys than this directory, which is an older copy: put "
                "back the latest one, or move the directory away to go on without it"
            )
        files.keep_copy(_copy_name(state.origin))
        link = handed_over(files, state, origin)
        keys = (*state.keys, link)
    second = int(time.time())
    text = checkpoint_text(Checkpoint(origin, peaks.size, peaks.root()))
    key = parse_vkey(link.vkey)
    private = files.private_key(key)
    lines = (sign_line(private, key.name, text), sign_line(private, key.name, text, second))
    fresh = State(
        origin=origin,
        keys=keys,
        size=peaks.size,
        peaks=peaks.hashes,
        checkpoint=f"{text}\n{''.join(lines)}",
        signed_at=second,
    )
    files.save(fresh)
    return fresh


async def _known_keys(connection: Any) -> tuple[KeyLink, ...]:
    return tuple(KeyLink(*row) for row in await connection.fetch(_KEYS))


async def _check_unsigned_rows(connection: Any, state: State) -> None:
    """Raise `LogForked` when the tree cannot be extended from its rows."""
    tree = await placed_tree(connection)
    size = 0 if tree is None else tree.size
    peaks, wrong = await _stored_leaves(connection, size, state.tree())
    if wrong or (tree is not None and peaks.to_bytes() != tree.peaks):
        raise LogForked(f"{wrong} entries of {state.origin} are not what was placed")


async def _stored_leaves(
    connection: Any, size: int, begun: Peaks | None = None
) -> tuple[Peaks, int]:
    """Return the tree of the stored leaves, and how many of their entries are not there as such.

    `begun`: a tree that is known to be its beginning, whose leaves are not read.
    """
    peaks, wrong = begun or Peaks(), 0
    while peaks.size < size:
        rows = await connection.fetch(_LEAVES, peaks.size, min(peaks.size + CHUNK, size))
        if not rows:
            raise LogForked(f"leaf {peaks.size} of the tree is missing: restore a backup")
        wrong += sum(
            row["header"] is None or leaf_hash(row["header"]) != row["hash"] for row in rows
        )
        peaks.extend(row["hash"] for row in rows)
    return peaks, wrong


def _is_of(state: State, peaks: Peaks) -> bool:
    return state.size == peaks.size and state.tree().root() == peaks.root()


def _copy_name(origin: str) -> str:
    return f"state-{origin.replace('/', '_')}.json"


def _next_origin(log: str, *before: str) -> str:
    """Return the first numbered name after all of these.

    >>> _next_origin("log", "log"), _next_origin("log", "log/2", "log")
    ('log/2', 'log/3')
    """
    numbers = [1]
    for origin in before:
        found = _NUMBERED.fullmatch(origin)
        if found and found[1] == log:
            numbers.append(int(found[2]))
    return f"{log}/{max(numbers) + 1}"
