"""Who holds a key in a Valkey Cluster: its slot, the slots' owners, and corrections by the servers.

Pure. Invariant: two keys with the same text in braces have the same slot, so all series of one
entity are on one server (Redis Cluster specification, "Hash tags").
"""

from __future__ import annotations

from binascii import crc_hqx
from typing import NamedTuple

from features.velocity.wire import Command, Reply

SLOTS = 16384

Place = tuple[str, int]  # host and port of a server
Owners = list[Place | None]  # by slot; None: nobody

# Where the key of a command stands; everywhere else it is the first argument.
_KEY_AT = {"FCALL": 3, "FCALL_RO": 3, "EVAL": 3, "EVALSHA": 3, "MEMORY": 2, "OBJECT": 2}
# fmt: off
_KEYLESS = frozenset([
    "CLIENT", "CLUSTER", "CONFIG", "DBSIZE", "FLUSHALL", "FLUSHDB", "FUNCTION", "INFO", "KEYS",
    "PING", "ROLE", "SCAN", "SCRIPT", "TIME", "WAIT",
])
# fmt: on


class Redirect(NamedTuple):
    """Where a server sends a command that it refused: for good (`MOVED`) or this once (`ASK`)."""

    slot: int
    place: Place
    only_this: bool


def key_of(command: Command) -> str | bytes | None:
    """Return the first key of a command; None when it has none and concerns whole servers.

    >>> key_of(("FCALL", "observe", 2, "ts:{a}:x", "ts:{a}:y", "argument"))
    'ts:{a}:x'
    >>> key_of(("DEL", "ts:{a}:x")), key_of(("FUNCTION", "LOAD", "text")), key_of(("PING",))
    ('ts:{a}:x', None, None)
    """
    name = command[0]
    if name in _KEYLESS:
        return None
    at = _KEY_AT.get(name, 1) if isinstance(name, str) else 1
    if len(command) <= at or (at == 3 and not int(command[2])):
        return None
    key = command[at]
    return key if isinstance(key, (str, bytes)) else str(key)


def slot_of(key: str | bytes) -> int:
    """Return the slot of a key: CRC16 (XMODEM) of the text in its first braces, or of all of it.

    >>> slot_of("foo"), slot_of("ts:{foo}:claim"), slot_of(b"{}foo") == slot_of("foo")
    (12182, 12182, False)
    """
    text = key if isinstance(key, bytes) else key.encode()
    start = text.find(b"{") + 1
    if start:
        end = text.find(b"}", start)
        if end > start:
            text = text[start:end]
    return crc_hqx(text, 0) % SLOTS


def owners_of(reply: Reply, asked: Place) -> Owners:
    """Read the answer to `CLUSTER SLOTS`, given by the server at `asked`; ValueError if it is none.

    A server that does not know its own address leaves the host empty: then it is the one we asked.

    >>> owners = owners_of([[0, 9, [b"", 7001, b"id"]], [10, 19, [b"::1", 7002]]], ("h", 1))
    >>> owners[9], owners[10], owners[20]
    (('h', 7001), ('::1', 7002), None)
    """
    owners: Owners = [None] * SLOTS
    try:
        for first, last, (host, port, *_), *_ in reply:
            name = host.decode() if host else asked[0]
            owners[first : last + 1] = [(name, int(port))] * (last + 1 - first)
    except (TypeError, ValueError, AttributeError):
        raise ValueError("not an answer to CLUSTER SLOTS") from None
    if len(owners) != SLOTS or not any(owners):
        raise ValueError("the server knows of no slots")
    return owners


def redirect_of(error: str, asked: Place) -> Redirect | None:
    """Read where the server at `asked` sends a command that it refused; None: it does not.

    >>> redirect_of("MOVED 12182 10.0.0.7:6381", ("h", 1))
    Redirect(slot=12182, place=('10.0.0.7', 6381), only_this=False)
    >>> redirect_of("ASK 5 :6381", ("h", 1))
    Redirect(slot=5, place=('h', 6381), only_this=True)
    >>> redirect_of("ERR no such function", ("h", 1))
    """
    word, *rest = error.split(" ")
    if word not in ("MOVED", "ASK") or len(rest) != 2:
        return None
    host, _, port = rest[1].rpartition(":")
    if not (rest[0].isdigit() and int(rest[0]) < SLOTS and port.isdigit()):
        return None
    return Redirect(int(rest[0]), (host or asked[0], int(port)), word == "ASK")
