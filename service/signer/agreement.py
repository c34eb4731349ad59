"""Does the database hold what was signed?

Asked before anything is signed, and by everything that starts. Invariant: a database that lacks
one signed entry, or has another in its place, is never taken for the log.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple

from service.counted import filled
from service.ledger.note import NoteInvalid, parse_checkpoint, parse_note, verify_note
from service.ledger.tree.errors import OutOfTree, TreeBroken
from service.ledger.tree.stored import StoredTree
from service.signer.errors import LogForked, LogRolledBack, OtherSigner, SignerRefuses
from service.signer.state import KeyLink, SignerFiles, State

_TREE = "SELECT origin, size, peaks FROM ledger_tree"
_KEYS = "SELECT vkey, statement FROM ledger_signer_key ORDER BY position"
_ADD_KEY = """
INSERT INTO ledger_signer_key (position, vkey, statement) VALUES ($1, $2, $3)
ON CONFLICT DO NOTHING
"""
_LATER = """
SELECT size, root, note, signed_at FROM ledger_checkpoint
WHERE origin = $1 AND size {} $2 ORDER BY size DESC, id DESC LIMIT 1
"""
_BEHIND = _LATER.format("<=")
_AHEAD = _LATER.format(">")

_ENTRIES = "{:# entry|# entries}"
_FIRST = "{:entry of the database is|# entries of the database are}"
_WERE = "{:# entry was|# entries were}"
_WHAT_TO_DO = (
    "Restore a later backup (and the write-ahead log after it), or see `touchstone ledger status`. "
    "If the missing entries are lost for good, `touchstone ledger continue` records the loss and "
    "goes on under another name."
)


class Placed(NamedTuple):
    """The tree as the sequencer left it."""

    origin: str
    size: int
    peaks: bytes


async def placed_tree(connection: Any) -> Placed | None:
    """Return the tree of the database, `None` before the first entry was placed."""
    row = await connection.fetchrow(_TREE)
    return None if row is None else Placed(row["origin"], row["size"], bytes(row["peaks"]))


async def check_directory(connection: Any, files: SignerFiles, *, signs_here: bool) -> None:
    """Raise `SignerRefuses` unless the database holds what the signer of this directory signed.

    `signs_here`: an empty directory is right only as long as nobody has signed; elsewhere there is
    nothing to compare with. Raises `SignerBroken` and what asyncpg raises.
    """
    while True:
        state = files.load()
        try:
            if state is not None:
                await check_agreement(connection, state)
            elif signs_here:
                await check_unsigned(connection)
        except SignerRefuses:
            # A signer that got its key, or the next one, meanwhile: the older memory says nothing.
            if files.load() == state:
                raise
        else:
            return


async def check_agreement(connection: Any, state: State) -> None:
    """Raise `LogRolledBack`, `LogForked` or `OtherSigner` unless what was signed is there.

    Reads about a hundred rows of the stored tree, however large it is.
    """
    await check_keys(connection, state)
    tree = await placed_tree(connection)
    await check_size(connection, state, tree)
    if tree is None or state.size == 0:
        return
    try:
        root = await StoredTree(connection).root(state.size)
    except (OutOfTree, TreeBroken) as error:
        raise await forked(connection, state, str(error)) from None
    if root != state.tree().root():
        raise await forked(connection, state)


async def check_size(connection: Any, state: State, tree: Placed | None) -> None:
    """Raise `LogRolledBack` or `LogForked` when the tree is too small, or of another origin."""
    size = 0 if tree is None else tree.size
    if size < state.size:
        both = await _known_to_both(connection, state)
        raise LogRolledBack(
            f"the database is older than its signer: {filled(_WERE, state.size)} signed on "
            f"{_time(state.signed_at)}, and {size} are here. {both}{_WHAT_TO_DO}"
        )
    if tree is not None and tree.origin != state.origin:
        raise LogForked(
            f"the database says that the log is {tree.origin!r}, its signer that it is "
            f"{state.origin!r}. {_WHAT_TO_DO}"
        )


async def forked(connection: Any, state: State, why: str = "") -> LogForked:
    """Return the error of a database whose first entries are not those that were signed."""
    both = await _known_to_both(connection, state)
    reason = f" ({why})" if why else ""
    return LogForked(
        f"the first {filled(_FIRST, state.size)} not what was signed on "
        f"{_time(state.signed_at)}{reason}: an older backup was restored and went on, or entries "
        f"were changed. {both}{_WHAT_TO_DO}"
    )


async def check_keys(connection: Any, state: State) -> list[KeyLink]:
    """Return the keys that the database does not know yet.

    Raises `OtherSigner` when it knows one that this directory does not.
    """
    rows = await connection.fetch(_KEYS)
    known = [KeyLink(row["vkey"], row["statement"]) for row in rows]
    if known != list(state.keys[: len(known)]):
        raise OtherSigner(
            f"the log is signed by {known[-1].vkey.rpartition('+')[0]}, and this signer's "
            "directory holds another key, or an older state: put back the copy that you keep of "
            "it. Where another machine signs this log, set TOUCHSTONE_LEDGER__SIGN=false here"
        )
    return list(state.keys[len(known) :])


async def publish_keys(connection: Any, state: State) -> None:
    """Tell the database of every key. Raises `OtherSigner`, also when another was faster."""
    missing = await check_keys(connection, state)
    if not missing:
        return
    first = len(state.keys) - len(missing) + 1
    async with connection.transaction():
        for position, link in enumerate(missing, first):
            await connection.execute(_ADD_KEY, position, link.vkey, link.statement)
    await check_keys(connection, state)


async def check_unsigned(connection: Any) -> None:
    """Raise `OtherSigner` when somebody has signed this log: its signer's state is not here."""
    vkey = await connection.fetchval(
        "SELECT vkey FROM ledger_signer_key ORDER BY position DESC LIMIT 1"
    )
    signed = await connection.fetchval("SELECT EXISTS (SELECT 1 FROM ledger_checkpoint)")
    if vkey is not None or signed:
        raise OtherSigner(
            f"the log is signed by {(vkey or 'somebody').rpartition('+')[0]}, and the signer's "
            "directory is empty here: put back the copy that you keep of it. Where another machine "
            "signs this log, set TOUCHSTONE_LEDGER__SIGN=false here. If the key is lost for good, "
            "`touchstone ledger continue` goes on with another"
        )


async def published_ahead(connection: Any, state: State) -> tuple[int, bytes] | None:
    """Return size and root of the last checkpoint of ours that is ahead of this state, if any.

    There is one when an older copy of the signer's directory was put back.
    """
    row = await connection.fetchrow(_AHEAD, state.origin, state.size)
    return None if row is None or not _is_ours(row["note"], state) else (row["size"], row["root"])


async def _known_to_both(connection: Any, state: State) -> str:
    row = await connection.fetchrow(_BEHIND, state.origin, state.size)
    if row is None or not _is_ours(row["note"], state):
        return ""
    return (
        f"The last checkpoint here is of {_time(int(row['signed_at'].timestamp()))}, over "
        f"{filled(_ENTRIES, row['size'])}: what was recorded after it is missing. "
    )


def _is_ours(text: str, state: State) -> bool:
    try:
        note = parse_note(text)
        parse_checkpoint(note.text)
        names = {line.name: line for line in note.lines}
        for link in state.keys:
            if link.verifier.name in names:
                try:
                    verify_note(note, link.verifier)
                except NoteInvalid:
                    continue
                return True
    except NoteInvalid:
        return False
    return False


def _time(second: int) -> str:
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%d %H:%M:%S} UTC"
