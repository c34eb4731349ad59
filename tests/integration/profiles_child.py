"""Runs commands of `touchstone` in one process and notes whom that process wants to talk to.

Argument: a file of commands (JSON: lists of words). Prints JSON: the exit code of each command,
what each printed, and every address and name that was asked for outside of this machine.
"""

from __future__ import annotations

import contextlib
import io
import ipaddress
import json
import sys
from pathlib import Path
from typing import Any

CONNECTING = {"socket.connect", "socket.sendto", "socket.sendmsg"}
RESOLVING = {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"}
HERE = {None, "", b"", "localhost", b"localhost"}

asked: list[str] = []


def watch(event: str, args: tuple[Any, ...]) -> None:
    """Refuse and note whatever is not on this machine (an audit hook: sys.addaudithook)."""
    if event in RESOLVING:
        host = args[0]
    elif event in CONNECTING and isinstance(args[1], tuple):
        host = args[1][0]
    else:
        return
    if not _is_here(host):
        asked.append(f"{event} {host}")
        raise ConnectionRefusedError(f"{event} {host}: not in this test")


def _is_here(host: Any) -> bool:
    if host in HERE:
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host.decode() if isinstance(host, bytes) else host).is_loopback
    return False


def run(words: list[str]) -> dict[str, Any]:
    """Run one command as `touchstone` does."""
    from service.cli import main

    out, err = io.StringIO(), io.StringIO()
    sys.argv = ["touchstone", *words]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main()
    return {"code": code, "out": out.getvalue(), "err": err.getvalue()}


if __name__ == "__main__":
    sys.addaudithook(watch)
    commands = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    ran = [run(words) for words in commands]
    with contextlib.suppress(OSError):  # the watch itself works: this must be noted
        import socket

        socket.create_connection(("203.0.113.1", 9), timeout=1)
    json.dump({"ran": ran, "asked": asked}, sys.stdout)
