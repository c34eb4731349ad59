"""How does another key take over?

The key before signs a statement that names the next one, and both sign checkpoints for a while.
Invariant: the chain of statements leads from every key that ever signed to the present one, as long
as no key was lost.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

import asyncpg

from service.ledger.note import VerifierKey, next_key_text, sign_line
from service.signer.agreement import check_agreement, publish_keys
from service.signer.errors import SignerBroken
from service.signer.state import KeyLink, Retiring, SignerFiles, State

CONNECT_SECONDS = 10.0
# Verifiers that know only the key before get this long to take the next one from the chain.
OVERLAP_SECONDS = 7 * 24 * 3600


class Rotated(NamedTuple):
    """The public keys before and after, and until when both sign (seconds since 1970)."""

    before: str
    after: str
    until: int


async def rotate(directory: Path, dsn: str, *, overlap_seconds: int = OVERLAP_SECONDS) -> Rotated:
    """Make a fresh signing key and hand over to it, beside a running signer.

    Returns when it is on disk and published. Raises `SignerBusy`, `SignerBroken`, `SignerRefuses`
    and what asyncpg raises; a rotation that was cut short is either done or has left no trace.
    """
    files = SignerFiles(directory)
    connection = await asyncpg.connect(dsn, timeout=CONNECT_SECONDS)
    try:
        async with files.locked():
            state = files.load()
            if state is None:
                raise SignerBroken(f"there is no signer in {directory}")
            await check_agreement(connection, state)
            before = state.keys[-1].verifier
            link = handed_over(files, state, state.origin)
            until = int(time.time()) + overlap_seconds
            state = state._replace(keys=(*state.keys, link), retiring=Retiring(str(before), until))
            files.save(state)
            files.tidy(state)
            await publish_keys(connection, state)
    finally:
        await connection.close(timeout=CONNECT_SECONDS)
    return Rotated(str(before), link.vkey, until)


def handed_over(files: SignerFiles, state: State, origin: str) -> KeyLink:
    """Return a fresh key that signs as `origin`, and the statement of the present key about it.

    The fresh key signs the statement too, so nobody can have a key of others named next.
    """
    before, after = state.keys[-1].verifier, files.new_key(origin)
    text = next_key_text(state.origin, str(after))
    return KeyLink(str(after), f"{text}\n{''.join(_lines(files, text, before, after))}")


def _lines(files: SignerFiles, text: str, *keys: VerifierKey) -> list[str]:
    return [sign_line(files.private_key(key), key.name, text) for key in keys]
