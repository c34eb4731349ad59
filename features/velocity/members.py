"""Who owns which slot of a cluster now, and a connection to each of them.

Asked for in the background: at first use, every 5 s, and within 250 ms when somebody missed a
server or was corrected by one. Invariant: once known, the owners stay known; what may be wrong
about them is put right by the servers, which refuse commands for slots that they do not own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace

import hiredis

from features.velocity.address import Address
from features.velocity.connection import RETRY_S, ValkeyConnection
from features.velocity.slots import Owners, Place, owners_of
from features.velocity.store import VelocityUnavailable
from features.velocity.wire import refusal

REFRESH_S = 5.0
ASK_S = 0.5  # for one server to say who owns what


class Members:
    """The primaries of one cluster, found through those that its URL names.

    Belongs to one event loop, that of its first `reached`.
    """

    def __init__(self, seeds: tuple[Address, ...]) -> None:
        self._seeds = {(one.host, one.port): one for one in seeds}
        self._like = seeds[0]  # password and TLS are common to all
        self._nodes: dict[Place, ValkeyConnection] = {}
        self._idle: set[Place] = set()  # owned nothing when we last asked
        self._failure = ("lost", "")
        self._watching: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()  # set once the first attempt has ended
        self._wanted = asyncio.Event()  # set when the owners should be asked for again
        self._turn = 0
        self._closed = False
        self.owners: Owners | None = None  # None before the first answer and after `close`

    async def reached(self, timeout_s: float) -> Owners:
        """Return the owners, or raise `VelocityUnavailable` while nobody has told them."""
        if self._watching is None and not self._closed:
            self._watching = asyncio.get_running_loop().create_task(self._watch())
        if not self._settled.is_set():
            try:
                await asyncio.wait_for(self._settled.wait(), timeout_s)
            except TimeoutError:
                raise VelocityUnavailable("timeout", "still looking for the cluster") from None
        if self.owners is None:
            raise VelocityUnavailable(*self._failure)
        return self.owners

    def node(self, place: Place) -> ValkeyConnection:
        """Return the connection to a server, unopened if it is the first."""
        node = self._nodes.get(place)
        if node is None:
            if self._closed:
                raise VelocityUnavailable("closed")
            address = self._seeds.get(place) or replace(self._like, host=place[0], port=place[1])
            node = self._nodes[place] = ValkeyConnection(address)
        return node

    def primaries(self) -> dict[Place, ValkeyConnection]:
        """Return the owners of slots, as they are known now."""
        return {place: self.node(place) for place in _places(self.owners or ())}

    def doubt(self) -> None:
        """Have the owners asked for again soon: a server was missing, or said something new."""
        self._wanted.set()

    def correct(self, slot: int, place: Place) -> None:
        """Believe a server that it is another one that owns a slot."""
        if self.owners is not None:
            self.owners[slot] = place
        self.keep(place)
        self.doubt()

    def keep(self, place: Place) -> None:
        """Keep the connection to a server that we were sent to, though it may own no slot yet."""
        self._idle.discard(place)

    async def close(self) -> None:
        """Drop every connection for good; `reached` and `node` fail as `closed`."""
        self._closed = True
        self.owners, self._failure = None, ("closed", "")
        self._settled.set()
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        await asyncio.gather(*(node.close() for node in self._nodes.values()))

    async def _watch(self) -> None:
        while True:
            self._wanted.clear()
            await self._refresh()
            self._settled.set()
            await asyncio.sleep(RETRY_S)
            if self.owners is not None:
                try:
                    async with asyncio.timeout(REFRESH_S):
                        await self._wanted.wait()
                except TimeoutError:
                    pass

    async def _refresh(self) -> None:
        """Ask server after server who owns what, until one answers; the URL's own come last."""
        known = _places(self.owners or ())
        self._turn += 1  # another one first each time: one server may be behind the others
        turn = self._turn % (len(known) or 1)
        for place in dict.fromkeys([*known[turn:], *known[:turn], *self._seeds]):
            try:
                [reply] = await self.node(place).call(("CLUSTER", "SLOTS"), timeout_s=ASK_S)
                if isinstance(reply, hiredis.ReplyError):
                    raise refusal(reply)
                self.owners = owners_of(reply, place)
            except VelocityUnavailable as error:
                self._failure = (error.reason, str(error).partition(": ")[2])
            except ValueError as error:
                self._failure = ("protocol", str(error))
            else:
                await self._drop_strangers()
                return

    async def _drop_strangers(self) -> None:
        """Close connections to servers that have owned nothing twice in a row."""
        strangers = self._nodes.keys() - set(_places(self.owners or ()))
        gone = strangers & self._idle
        self._idle = strangers - gone
        for place in gone:
            await self._nodes.pop(place).close()


def _places(owners: Iterable[Place | None]) -> list[Place]:
    return [place for place in dict.fromkeys(owners) if place is not None]
