"""Where do velocities and ledger live when nobody brought a server? Here, under one directory.

Invariant: the data survives stop, kill and restart; a second user of the directory attaches to the
running servers or is told who has them, and never starts a second server on the same files.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from service.embedded.errors import EmbeddedError, VarInUse
from service.embedded.lock import POLL_SECONDS, WAIT_SECONDS, VarLock
from service.embedded.postgres import SOCKET_NAME, postgres_recipe, postgres_url
from service.embedded.process import ServerProcess, User, make_private, server_user
from service.embedded.valkey import valkey_recipe, valkey_url

# sockaddr_un holds 108 bytes on Linux, 104 on macOS, the final zero included.
MAX_SOCKET_BYTES = 103


@dataclass(frozen=True, slots=True)
class ServerUrls:
    """Where the servers are; None is one that was not asked for."""

    valkey_url: str | None
    postgres_url: str | None


class EmbeddedServers:
    """Valkey and PostgreSQL of one data directory, running until `stop` (or the `with` ends).

    `valkey` and `postgres` are the single servers: tests stop and start them under a service.
    """

    def __init__(self, var: Path, *, valkey: bool = True, postgres: bool = True) -> None:
        self.var = var.expanduser().resolve()
        self._run = self.var / "run"
        self._lock = VarLock(self.var)
        self._wanted = (valkey, postgres)
        self._sockets: Path | None = None
        self.valkey: ServerProcess | None = None
        self.postgres: ServerProcess | None = None

    @classmethod
    def start(cls, var: Path, *, valkey: bool = True, postgres: bool = True) -> Self:
        """Start the servers and return when they answer. Raises `EmbeddedError`, `VarInUse`."""
        servers = cls(var, valkey=valkey, postgres=postgres)
        servers._lock.take("service", attach=False)
        servers._start()
        return servers

    @property
    def valkey_url(self) -> str | None:
        """Where Valkey is; the same after a restart of the single server."""
        return valkey_url(self._sockets) if self._sockets and self.valkey else None

    @property
    def postgres_url(self) -> str | None:
        """Where PostgreSQL is; the same after a restart of the single server."""
        return postgres_url(self._sockets) if self._sockets and self.postgres else None

    def urls(self) -> ServerUrls:
        """Return where the servers are."""
        return ServerUrls(self.valkey_url, self.postgres_url)

    def revive(self) -> list[str]:
        """Start servers that died again and return their names."""
        dead = [server for server in self._all() if server.pid is None]
        for server in dead:
            server.start()
        return [server.name for server in dead]

    def stop(self) -> None:
        """Stop the servers so that their data is saved, and free the directory."""
        with contextlib.ExitStack() as steps:
            steps.callback(self._lock.release)
            steps.callback(self._forget)
            for server in self._all():
                steps.callback(server.stop)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _take_or_find(self) -> ServerUrls | None:
        """Take the directory for a moment, or return where a service's servers are."""
        deadline = time.monotonic() + WAIT_SECONDS
        while not self._lock.take("command", attach=True):
            with contextlib.suppress(OSError, ValueError):
                state = json.loads(self._state.read_text(encoding="utf-8"))
                return ServerUrls(state["valkey_url"], state["postgres_url"])
            if time.monotonic() > deadline:  # it has been starting or stopping for too long
                raise VarInUse(self.var, None)
            time.sleep(POLL_SECONDS)
        return None

    def _start(self) -> None:
        """Start the servers; the lock is held, and is freed again if this fails."""
        try:
            self._forget()
            valkey, postgres = self._wanted
            user = server_user(self.var / ("postgres" if postgres else "valkey"))
            sockets = self._sockets = self._socket_directory(user)
            if valkey:
                log = self._run / "valkey.log"
                self.valkey = ServerProcess(valkey_recipe(self.var / "valkey", sockets, log, user))
            if postgres:
                log = self._run / "postgres.log"
                self.postgres = ServerProcess(
                    postgres_recipe(self.var / "postgres", sockets, log, user)
                )
            for server in self._all():
                server.launch()
            for server in self._all():
                server.wait_until_ready()
            self._announce()
        except OSError as error:
            self.stop()
            raise EmbeddedError(f"cannot use {self.var}: {error}") from None
        except BaseException:
            self.stop()
            raise

    def _all(self) -> list[ServerProcess]:
        return [server for server in (self.valkey, self.postgres) if server is not None]

    def _socket_directory(self, user: User | None) -> Path:
        directory = self._run / "sockets"
        # PostgreSQL reads the setting as a list of quoted names.
        if len(os.fsencode(directory / SOCKET_NAME)) > MAX_SOCKET_BYTES or '"' in str(directory):
            base = tempfile.gettempdir()
            directory = Path(tempfile.mkdtemp(prefix="touchstone-", dir=base))
            if len(os.fsencode(directory / SOCKET_NAME)) > MAX_SOCKET_BYTES:
                directory.rmdir()
                directory = Path(tempfile.mkdtemp(prefix="touchstone-", dir="/tmp"))
        make_private(directory, user)
        return directory

    @property
    def _state(self) -> Path:
        return self._run / "embedded.json"

    def _announce(self) -> None:
        """Tell other commands where the servers are."""
        state = {
            "pid": os.getpid(),
            "valkey_url": self.valkey_url,
            "postgres_url": self.postgres_url,
            "sockets": str(self._sockets),
        }
        fresh = self._state.with_suffix(".new")
        fresh.write_text(json.dumps(state), encoding="utf-8")
        fresh.replace(self._state)

    def _forget(self) -> None:
        """Remove what this run, or a killed one before it, left behind."""
        sockets = {self._run / "sockets"}
        if self._sockets is not None:
            sockets.add(self._sockets)
        with contextlib.suppress(OSError, ValueError, KeyError):
            named = Path(json.loads(self._state.read_text(encoding="utf-8"))["sockets"])
            if named.name.startswith("touchstone-"):
                sockets.add(named)
        for directory in sockets:
            shutil.rmtree(directory, ignore_errors=True)
        self._state.unlink(missing_ok=True)


@contextlib.contextmanager
def attach_or_start(
    var: Path, *, valkey: bool = True, postgres: bool = True
) -> Iterator[ServerUrls]:
    """Yield the URLs of the servers that a running service has, or of temporary ones.

    Raises `EmbeddedError` and `VarInUse`.
    """
    servers = EmbeddedServers(var, valkey=valkey, postgres=postgres)
    running = servers._take_or_find()
    if running is not None:
        yield running
        return
    servers._start()
    with servers:
        yield servers.urls()
