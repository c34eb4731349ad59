"""Which connection does a URL ask for: to one server, or to a cluster?

Invariant: whoever holds a `Connection` need not know which of them it is.
"""

from __future__ import annotations

from typing import Protocol

from features.velocity.address import is_cluster
from features.velocity.cluster import ClusterConnection
from features.velocity.connection import ValkeyConnection
from features.velocity.wire import Command, Reply


class Connection(Protocol):
    """One Valkey server, or a cluster of them, that every request of the process shares."""

    async def call(self, *commands: Command, timeout_s: float) -> list[Reply]:
        """Send commands and return their replies in order.

        Each command touches keys of one slot only (its first key names the slot) or none.
        Guaranteed: an error reply stands in its place as `hiredis.ReplyError` (see `refusal`); no
        command is executed twice by one call. Raises `VelocityUnavailable` within `timeout_s` when
        any reply is missing; then each of the commands may or may not have been executed.
        Not to be assumed: any order between commands of different slots.
        """
        ...

    async def primaries(self, timeout_s: float) -> tuple[ValkeyConnection, ...]:
        """Return the servers that together hold all keys, for `SCAN` and the like; do not close."""
        ...

    async def ping(self, timeout_s: float) -> None:
        """Return when all keys can be reached; raise `VelocityUnavailable` otherwise."""
        ...

    async def close(self) -> None:
        """Drop every connection for good; calls in flight and later ones fail as `closed`."""
        ...


def connect(url: str) -> ValkeyConnection | ClusterConnection:
    """Return the connection that a URL asks for, unopened; raise ValueError on one it cannot be.

    >>> type(connect("valkey://cache:6379")).__name__
    'ValkeyConnection'
    >>> type(connect("valkey+cluster://one:6379,two:6379")).__name__
    'ClusterConnection'
    """
    return ClusterConnection(url) if is_cluster(url) else ValkeyConnection(url)
