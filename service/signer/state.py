"""What does the signer remember, outside the database?

The tree that it signed last, its last checkpoint, and which keys signed one after the other; the
private keys lie beside it, a file each. Invariants: a state is on disk, whole, before anything that
it vouches for leaves; one process at a time changes it.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from service.ledger.note import (
    NoteInvalid,
    VerifierKey,
    parse_checkpoint,
    parse_note,
    parse_vkey,
    verify_note,
)
from service.ledger.tree.errors import TreeBroken
from service.ledger.tree.peaks import Peaks
from service.signer.errors import SignerBroken, SignerBusy

FORMAT = "touchstone signer 1"
STATE = "state.json"
FRESH = ".new"
KEY = ".key"
KEY_BYTES = 32
LOCK_SECONDS = 30.0
LOCK_PAUSE_SECONDS = 0.02


class KeyLink(NamedTuple):
    """One key of the log's chain; `statement` is the note by which the key before hands over.

    `None`: there was no key before, or it was lost.
    """

    vkey: str
    statement: str | None

    @property
    def verifier(self) -> VerifierKey:
        """The public key."""
        return parse_vkey(self.vkey)


class Retiring(NamedTuple):
    """The key before the present one, which also signs until then (seconds since 1970)."""

    vkey: str
    until: int


class State(NamedTuple):
    """What was signed last. The last of `keys` signs. `checkpoint` is a note, `None` before any."""

    origin: str
    keys: tuple[KeyLink, ...]
    size: int = 0
    peaks: tuple[bytes, ...] = ()
    checkpoint: str | None = None
    signed_at: int = 0
    retiring: Retiring | None = None

    def tree(self) -> Peaks:
        """Return the tree that was signed."""
        return Peaks(self.size, self.peaks)


class SignerFiles:
    """The signer's directory. Every method raises `SignerBroken` when the disk does not obey."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.state_path = directory / STATE

    @asynccontextmanager
    async def locked(self, seconds: float = LOCK_SECONDS) -> AsyncIterator[None]:
        """Hold the directory; raises `SignerBusy` when another process holds it for so long."""
        with _broken("open", self.directory):
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            deadline = time.monotonic() + seconds
            while not _has_lock(descriptor):
                if time.monotonic() > deadline:
                    raise SignerBusy(f"another process holds {self.directory}: try again")
                await asyncio.sleep(LOCK_PAUSE_SECONDS)
            yield
        finally:
            os.close(descriptor)

    def load(self, name: str = STATE) -> State | None:
        """Return the state, `None` when there is none. Raises `SignerBroken` on damage."""
        path = self.directory / name
        with _broken("read", path):
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                return None
        try:
            return _parsed(json.loads(content.decode()))
        except (ValueError, KeyError, TypeError, AttributeError, NoteInvalid, TreeBroken) as error:
            raise SignerBroken(
                f"{path} is damaged ({error}): put back the copy that you keep of it"
            ) from None

    def save(self, state: State) -> None:
        """Return when the state is on disk; a crash leaves the old one or this one, whole."""
        self._write(self.state_path, json.dumps(_written(state), indent=1).encode())

    def keep_copy(self, name: str) -> Path:
        """Return where the present state lies as it is, beside the one that comes."""
        path = self.directory / name
        with _broken("read", self.state_path):
            content = self.state_path.read_bytes()
        self._write(path, content)
        return path

    def new_key(self, origin: str) -> VerifierKey:
        """Return a fresh key that signs under this name; the private key is on disk."""
        private = Ed25519PrivateKey.generate()
        key = VerifierKey(origin, 1, private.public_key().public_bytes_raw())
        self._write(self.key_path(key), private.private_bytes_raw())
        return key

    def private_key(self, key: VerifierKey) -> Ed25519PrivateKey:
        """Return the private key. Raises `SignerBroken` when it is not there, or not this one."""
        path = self.key_path(key)
        with _broken("read", path):
            mode = path.stat().st_mode & 0o777
            raw = path.read_bytes()
        if mode & 0o077:
            raise SignerBroken(f"{path} may be read or written by others: chmod 600 {path}")
        private = Ed25519PrivateKey.from_private_bytes(raw) if len(raw) == KEY_BYTES else None
        if private is None or private.public_key().public_bytes_raw() != key.public:
            raise SignerBroken(f"{path} is not the key {key}: put back the copy that you keep")
        return private

    def key_path(self, key: VerifierKey) -> Path:
        """Return where the private key of a public one is."""
        return self.directory / f"{key.key_id.hex()}{KEY}"

    def tidy(self, state: State) -> list[Path]:
        """Remove what a crash or a rotation left: half-written files and keys that sign no more."""
        gone = self.leftovers(state)
        for path in gone:
            with _broken("remove", path):
                path.unlink(missing_ok=True)
        return gone

    def leftovers(self, state: State) -> list[Path]:
        """Return the files that `tidy` removes."""
        signing = {state.keys[-1].vkey, *([state.retiring.vkey] if state.retiring else [])}
        kept = {self.key_path(parse_vkey(vkey)) for vkey in signing}
        with _broken("read", self.directory):
            found = sorted(self.directory.iterdir())
        return [
            path for path in found
            if path.suffix == FRESH or (path.suffix == KEY and path not in kept)
        ]  # fmt: skip

    def _write(self, path: Path, content: bytes) -> None:
        fresh = path.with_name(path.name + FRESH)
        with _broken("write", path):
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            fresh.rename(path)
            directory = os.open(self.directory, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)


def _written(state: State) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "origin": state.origin,
        "size": state.size,
        "peaks": [peak.hex() for peak in state.peaks],
        "checkpoint": state.checkpoint,
        "signed_at": state.signed_at,
        "keys": [link._asdict() for link in state.keys],
        "retiring": state.retiring and state.retiring._asdict(),
    }


def _parsed(raw: Any) -> State:
    """Return the state; raises what tells that the file is not what was written."""
    if raw["format"] != FORMAT:
        raise ValueError("another format")
    state = State(
        origin=raw["origin"],
        keys=tuple(KeyLink(**link) for link in raw["keys"]),
        size=raw["size"],
        peaks=tuple(bytes.fromhex(peak) for peak in raw["peaks"]),
        checkpoint=raw["checkpoint"],
        signed_at=int(raw["signed_at"]),
        retiring=Retiring(**raw["retiring"]) if raw["retiring"] else None,
    )
    if not state.keys or state.keys[-1].verifier.name != state.origin:
        raise ValueError("no key")
    root = state.tree().root()
    if state.checkpoint is None:
        if state.size:
            raise ValueError("no checkpoint")
        return state
    # Its own signature tells that no bit of what matters was flipped on disk.
    note = parse_note(state.checkpoint)
    signed = parse_checkpoint(note.text)
    if (signed.origin, signed.size, signed.root) != (state.origin, state.size, root):
        raise ValueError("its tree is not the one of its checkpoint")
    signers = [link.verifier for link in state.keys]
    names = {(line.name, line.key_id) for line in note.lines}
    by = [key for key in signers if (key.name, key.key_id) in names]
    if not by:
        raise ValueError("a checkpoint of somebody else")
    for key in by:
        verify_note(note, key)
    return state


def _has_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextmanager
def _broken(act: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SignerBroken(f"cannot {act} {path}: {error.strerror}") from None
