"""The connection to a Valkey or Redis Cluster that every request of the process shares.

Each command goes to the primary that owns its key's slot; one `ValkeyConnection` per primary.
Invariant: a command is sent again only when a server has refused it (`MOVED`, `ASK`, `TRYAGAIN`),
never when its reply is missing, so nothing is executed twice in silence.

Why not redis-py's `RedisCluster` (7.4, `tests/bench/cluster_bench.py`): after a lost connection its
pipeline waits 250 ms, beyond our whole budget, and sends every command again whose reply was nil or
an error, so that a first claim finds itself taken. Without retries it forgets a connection with
every call that times out, and its pipelines do not ask who took over from a lost server. Six calls
cost 660 us of CPU through it, 86 us here (three writes and reads; 30 us with one server).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import hiredis

from features.velocity.address import parse_cluster
from features.velocity.connection import ValkeyConnection
from features.velocity.members import Members
from features.velocity.slots import Owners, Place, key_of, redirect_of, slot_of
from features.velocity.store import VelocityUnavailable
from features.velocity.wire import Command, Reply

PAUSE_S = 0.005  # before a command is repeated whose keys are on their way; doubles each time
LONGEST_PAUSE_S = 0.05

_Shares = dict[Place, list[tuple[int, bool]]]  # per server: which commands, and whether to ASK


class ClusterConnection:
    """A `Connection` (see `connect.py`) to every primary of a cluster.

    Belongs to one event loop, that of its first call. A primary that is lost fails the calls that
    need it, at once or at the latest within their time, and no others; it comes back by itself, or
    its promoted replica does. Replicas are not read.
    """

    def __init__(self, url: str) -> None:
        self._members = Members(parse_cluster(url))

    async def call(self, *commands: Command, timeout_s: float) -> list[Reply]:
        """Send commands to the primaries of their keys and return the replies in order.

        As `ValkeyConnection.call`, with the commands of one key in order, and nothing said of the
        order between servers. A command without a key (`FUNCTION LOAD`) goes to every server that
        the others of this call go to, before those that follow it, or to all primaries when it is
        alone; its reply is an error if any server's is. When one server's replies are missing the
        whole call fails; what the others were sent may have been executed.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        owners = self._members.owners
        if owners is None:
            owners = await self._members.reached(timeout_s)
        shares: _Shares = {}
        keyless: list[int] = []
        for index, command in enumerate(commands):
            key = key_of(command)
            if key is None:
                keyless.append(index)
                continue
            place = self._owner(owners, key)
            if place in shares:
                shares[place].append((index, False))
            else:
                shares[place] = [(index, False)]
        if keyless:
            shares = shares or {place: [] for place in self._members.primaries()}
            for share in shares.values():
                share.extend((index, False) for index in keyless)
                share.sort()
        replies: list[Reply] = [None] * len(commands)
        served: set[Place] = set()
        pause, corrections = 0.0, 0
        while not served or loop.time() < deadline:  # a pause may have been too long
            await self._exchange(commands, shares, replies, deadline - loop.time())
            served.update(shares)
            shares, is_moving = self._redirected(commands, replies, shares)
            corrections += 1
            if is_moving or corrections > 2:  # servers that do not agree yet
                pause = min(2 * pause, LONGEST_PAUSE_S) or PAUSE_S
            if not shares or loop.time() + pause >= deadline:
                return replies
            if pause:
                await asyncio.sleep(pause)
            for place in shares.keys() - served:
                shares[place][:0] = [(index, False) for index in keyless]
        return replies

    async def primaries(self, timeout_s: float) -> tuple[ValkeyConnection, ...]:
        """Return the servers that together hold all keys, for commands that concern each of them.

        Valid for the moment: slots move. Fails with `VelocityUnavailable` while nobody tells them.
        """
        await self._members.reached(timeout_s)
        return tuple(self._members.primaries().values())

    async def ping(self, timeout_s: float) -> None:
        """Return when every primary answers; raise `VelocityUnavailable` otherwise."""
        nodes = await self.primaries(timeout_s)
        answers = await asyncio.gather(
            *(node.ping(timeout_s) for node in nodes), return_exceptions=True
        )
        failures = [answer for answer in answers if isinstance(answer, BaseException)]
        for failure in failures:
            if not isinstance(failure, VelocityUnavailable):
                raise failure
            self._members.doubt()
            detail = f"{len(failures)} of {len(nodes)} primaries do not answer"
            raise VelocityUnavailable(failure.reason, detail)
        if None in (self._members.owners or ()):
            self._members.doubt()
            raise VelocityUnavailable("moved", "some slots have no owner")

    async def close(self) -> None:
        """Drop every connection for good; calls in flight and later ones fail as `closed`."""
        await self._members.close()

    async def _exchange(
        self, commands: Sequence[Command], shares: _Shares, replies: list[Reply], timeout_s: float
    ) -> None:
        """Send each server its share, all at once, and put the replies in their places."""
        under_way: list[asyncio.Future[list[Reply]]] = []
        answers: dict[int, Reply] = {}
        try:
            for place, share in shares.items():
                words: list[Command] = []
                for index, ask in share:
                    if ask:
                        words.append(("ASKING",))
                    words.append(commands[index])
                node = self._members.node(place)
                under_way.append(node.begin(*words, timeout_s=timeout_s))
            for future, share in zip(under_way, shares.values(), strict=True):
                came = iter(await future)
                for index, ask in share:
                    if ask:
                        next(came)  # of ASKING
                    reply = next(came)
                    if type(answers.get(index)) is not hiredis.ReplyError:
                        answers[index] = reply
        except VelocityUnavailable:
            self._members.doubt()
            raise
        finally:
            _let_go(under_way)
        for index, reply in answers.items():
            replies[index] = reply

    def _redirected(
        self, commands: Sequence[Command], replies: list[Reply], shares: _Shares
    ) -> tuple[_Shares, bool]:
        """Return where refused commands go next, and whether some have to wait for their keys."""
        onward: _Shares = {}
        is_moving = False
        owners = self._members.owners
        if owners is None:  # closed meanwhile
            return {}, False
        for place, share in shares.items():
            for index, _ in share:
                reply = replies[index]
                if type(reply) is not hiredis.ReplyError:
                    continue
                text = str(reply)
                key = key_of(commands[index])
                if key is None:
                    continue
                if redirect := redirect_of(text, place):
                    target = redirect.place
                    if redirect.only_this:
                        self._members.keep(target)
                    else:
                        self._members.correct(redirect.slot, target)
                    onward.setdefault(target, []).append((index, redirect.only_this))
                    is_moving = is_moving or target == place
                elif text.startswith("TRYAGAIN"):
                    is_moving = True
                    onward.setdefault(self._owner(owners, key), []).append((index, False))
                elif text.startswith(("CLUSTERDOWN", "READONLY", "MASTERDOWN", "LOADING")):
                    self._members.doubt()
        return onward, is_moving

    def _owner(self, owners: Owners, key: str | bytes) -> Place:
        place = owners[slot_of(key)]
        if place is None:
            self._members.doubt()
            raise VelocityUnavailable("moved", "the slot has no owner")
        return place


def _let_go(futures: Iterable[asyncio.Future[list[Reply]]]) -> None:
    """Keep nobody waiting for replies that a failed call no longer needs."""
    for future in futures:
        if not future.done():
            if isinstance(future, asyncio.Task):
                future.cancel()  # perhaps not even sent
            else:
                future.add_done_callback(_forget)
        elif not future.cancelled():
            future.exception()  # seen


def _forget(future: asyncio.Future[list[Reply]]) -> None:
    if not future.cancelled():
        future.exception()
