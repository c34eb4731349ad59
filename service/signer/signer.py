"""How does a checkpoint come about?

One round: read back what was placed since the last one, from the stored bytes; extend the signer's
own tree; compare it with the sequencer's; remember on disk; only then publish. Invariants: nothing
is signed that contradicts what was signed before, and no checkpoint leaves that is not remembered.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import asyncpg

from service.ledger.note import (
    Checkpoint,
    checkpoint_text,
    parse_vkey,
    sign_line,
)
from service.ledger.strict import check_durability
from service.ledger.tree.hashes import leaf_hash
from service.ledger.tree.peaks import Peaks
from service.signer.agreement import (
    check_size,
    check_unsigned,
    forked,
    placed_tree,
    publish_keys,
    published_ahead,
)
from service.signer.errors import LeafWrong, OtherSigner, SignerRefuses
from service.signer.publishing import publish, report, sign_manifests, thin
from service.signer.state import KeyLink, SignerFiles, State

CONNECT_SECONDS = 2.0
# A statement takes milliseconds; a server that needs this long for one hangs.
STATEMENT_SECONDS = 60.0
# Rows read back at once: about 2 MB of headers.
CHUNK = 4096
IDLE_SECONDS = 3600

_LEAVES = """
SELECT leaf.idx, leaf.hash, leaf.entry_id, entry.header
FROM ledger_leaf leaf LEFT JOIN ledger_entry entry USING (entry_id)
WHERE leaf.idx >= $1 AND leaf.idx < $2 ORDER BY leaf.idx
"""


class Signer:
    """The signer of one log. Rounds of several processes on one directory take turns."""

    def __init__(self, directory: Path, dsn: str, origin: str) -> None:
        self._files = SignerFiles(directory)
        self._dsn = dsn
        self._origin = origin
        self._connection: Any = None
        self._thinned = 0

    @classmethod
    async def open(cls, directory: Path, dsn: str, origin: str) -> Signer:
        """Return the signer that lives in `directory`; a log that nobody has signed gets its key.

        Raises `SignerRefuses` when the directory does not belong to the log, `SignerBroken`,
        `SignerBusy`, `NotDurable`, and what asyncpg raises.
        """
        signer = cls(directory, dsn, origin)
        try:
            connection = await signer._connected()
            async with signer._files.locked():
                state = signer._files.load()
                if state is None:
                    await check_unsigned(connection)
                    key = signer._files.new_key(origin)
                    state = State(origin, (KeyLink(str(key), None),))
                    signer._files.save(state)
                signer._files.tidy(state)
                signer._files.private_key(state.keys[-1].verifier)
                await publish_keys(connection, state)
        except BaseException:
            await signer.close()
            raise
        return signer

    async def __aenter__(self) -> Signer:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def sign(self) -> Checkpoint | None:
        """Do one round; return the checkpoint that it published, `None` when none was due.

        One is due when the tree has grown, or the last one is an hour old. Also signs manifests of
        exports that wait. Raises `SignerRefuses` (and says so in the database), `SignerBroken`,
        and what asyncpg raises; the next round begins anew.
        """
        connection = await self._connected()
        async with self._files.locked():
            state = self._files.load()
            try:
                checkpoint = await self._round(connection, state)
            except SignerRefuses as error:
                await report(connection, error)
                raise
        await report(connection, None)
        return checkpoint

    async def close(self) -> None:
        """Let go of the database."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(OSError, TimeoutError, asyncpg.InterfaceError):
                await connection.close(timeout=CONNECT_SECONDS)

    async def _round(self, connection: Any, state: State | None) -> Checkpoint | None:
        if state is None:
            raise OtherSigner(f"{self._files.state_path} is gone: put back the copy that you keep")
        await publish_keys(connection, state)
        tree = await placed_tree(connection)
        await check_size(connection, state, tree)
        if tree is None or tree.size == 0:
            return None
        peaks = state.tree()
        ahead = await published_ahead(connection, state)
        if ahead is not None and ahead[0] <= tree.size:
            await self._extend(connection, peaks, ahead[0])
            if peaks.root() != ahead[1]:
                raise await forked(connection, state, f"a checkpoint of {ahead[0]} says otherwise")
        elif ahead is not None:
            raise await forked(connection, state, f"{ahead[0]} were signed, {tree.size} are here")
        await self._extend(connection, peaks, tree.size)
        if peaks.to_bytes() != tree.peaks:
            raise await forked(connection, state)
        if ahead is None:
            await publish(connection, state)  # what a crash kept from leaving
        second = max(int(time.time()), state.signed_at)
        state = self._retired(state, second)
        checkpoint = None
        if peaks.size > state.size or second - state.signed_at >= IDLE_SECONDS:
            checkpoint = Checkpoint(state.origin, peaks.size, peaks.root())
            note = self.signed_note(state, checkpoint_text(checkpoint), second)
            state = state._replace(
                size=peaks.size, peaks=peaks.hashes, checkpoint=note, signed_at=second
            )
            self._files.save(state)
            await publish(connection, state)
        await sign_manifests(connection, lambda text: self.signed_note(state, text))
        if second // 3600 != self._thinned:
            await thin(connection)
            self._thinned = second // 3600
        return checkpoint

    async def _extend(self, connection: Any, peaks: Peaks, size: int) -> None:
        """Add the entries up to `size`, hashed anew from their stored headers."""
        while peaks.size < size:
            first = peaks.size
            last = min(first + CHUNK, size)
            rows = await connection.fetch(_LEAVES, first, last)
            if [row["idx"] for row in rows] != list(range(first, last)):
                raise LeafWrong(f"the tree has {size} leaves, but not all from {first} to {last}")
            leaves = []
            for row in rows:
                where = f"entry {row['entry_id'].hex()} (leaf {row['idx']})"
                if row["header"] is None:
                    raise LeafWrong(f"{where} was placed and is not there any more")
                leaves.append(leaf_hash(row["header"]))
                if leaves[-1] != row["hash"]:
                    raise LeafWrong(f"{where} is not what was placed: its header was changed")
            peaks.extend(leaves)

    def signed_note(self, state: State, text: str, second: int | None = None) -> str:
        """Return the text as a note by the present key, and by the one that retires.

        With `second` each also signs that time (a cosignature).
        """
        vkeys = [state.keys[-1].vkey, *([state.retiring.vkey] if state.retiring else [])]
        lines = []
        for key in map(parse_vkey, vkeys):
            private = self._files.private_key(key)
            lines.append(sign_line(private, key.name, text))
            if second is not None:
                lines.append(sign_line(private, key.name, text, second))
        return f"{text}\n{''.join(lines)}"

    def _retired(self, state: State, second: int) -> State:
        """Let the key before the present one go when its time is over."""
        if state.retiring is None or second < state.retiring.until:
            return state
        state = state._replace(retiring=None)
        self._files.save(state)
        self._files.tidy(state)
        return state

    async def _connected(self) -> Any:
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(
                self._dsn,
                timeout=CONNECT_SECONDS,
                command_timeout=STATEMENT_SECONDS,
                server_settings={"application_name": "touchstone-signer", "jit": "off"},
            )
            await check_durability(self._connection)
        return self._connection
