"""How is one server process started, watched and stopped?

Invariant: a server that this process started ends with it, even when this process is killed (on
Linux at once, elsewhere at the next start). Servers live in a session of their own, so Ctrl-C in a
terminal reaches the service first.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from service.embedded.errors import EmbeddedError

# Crash recovery of PostgreSQL replays at most 1 GB of its log: well under this.
START_SECONDS = 120.0
POLL_SECONDS = 0.01
CHILD = Path(__file__).with_name("child.py")


@dataclass(frozen=True, slots=True)
class User:
    """A user of the operating system that servers run as."""

    uid: int
    gid: int


def server_user(directory: Path) -> User | None:
    """Return the user that servers of this directory run as: None is whoever runs this.

    PostgreSQL refuses to run as root. Root's servers run as the owner of their data, which at the
    first start becomes `nobody`.
    """
    if os.geteuid() != 0:
        return None
    with contextlib.suppress(FileNotFoundError):
        owner = directory.stat()
        if owner.st_uid != 0:
            return User(owner.st_uid, owner.st_gid)
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        raise EmbeddedError(
            "PostgreSQL does not run as root, and there is no user `nobody`: run as another user"
        ) from None
    return User(entry.pw_uid, entry.pw_gid)


def make_private(directory: Path, user: User | None) -> None:
    """Create the directory for this user only, or make it so."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.chmod(0o700)
    if user is not None:
        os.chown(directory, user.uid, user.gid)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one kind of server is run.

    `needs` are paths that it must be able to read; `stop_signals` are sent in turn, each followed
    by so many seconds of patience; `is_ready` is asked with the process id until it says yes;
    `prepare` runs before every start.
    """

    name: str
    argv: Sequence[str]
    data: Path
    log: Path
    user: User | None
    needs: Sequence[Path]
    stop_signals: Sequence[tuple[signal.Signals, float]]
    is_ready: Callable[[int], bool]
    prepare: Callable[[], None]


def command(recipe: Recipe, argv: Sequence[str] | None = None) -> list[str]:
    """Return the command line that runs the recipe's (or another) program as its user.

    What it runs ends with this process.
    """
    user = recipe.user
    spec = {
        "argv": list(argv or recipe.argv),
        "parent": os.getpid(),
        "death_signal": recipe.stop_signals[0][0],
        "user": None if user is None else [user.uid, user.gid],
        "needs": [str(path) for path in recipe.needs],
    }
    return [sys.executable, "-I", "-S", str(CHILD), json.dumps(spec)]


class ServerProcess:
    """One server: started, stopped and started again, always with the same data and address.

    Start it from a thread that lives as long as the server should: on Linux the server ends with
    the thread that started it.
    """

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        """What people call the server."""
        return self._recipe.name

    @property
    def pid(self) -> int | None:
        """The process id while the server runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> None:
        """Start the server and return when it answers. Raises `EmbeddedError`."""
        self.launch()
        self.wait_until_ready()

    def launch(self) -> None:
        """Start the server without waiting for it, after ending one that a kill left over."""
        if self.pid is not None:
            return
        recipe = self._recipe
        self._end_leftovers()
        recipe.prepare()
        with recipe.log.open("ab") as log:
            self._process = subprocess.Popen(
                command(recipe),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"},
            )

    def wait_until_ready(self) -> None:
        """Return when the launched server answers. Raises `EmbeddedError` with the log's end."""
        process = self._process
        if process is None:
            raise EmbeddedError(f"{self._recipe.name} was not launched")
        deadline = time.monotonic() + START_SECONDS
        while not self._recipe.is_ready(process.pid):
            if process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise EmbeddedError(
                    f"{self._recipe.name} did not start; {self._recipe.log} ends:\n{self._tail()}"
                )
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """Stop the server so that its data is saved; harder and harder if it does not listen."""
        process = self._process
        if process is None:
            return
        for number, patience_seconds in self._recipe.stop_signals:
            if process.poll() is None:
                process.send_signal(number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(patience_seconds)
        self.kill()

    def kill(self) -> None:
        """End the server at once, as a crash would."""
        if self._process is not None:
            if self._process.poll() is None:
                self._process.kill()
            self._process.wait()
            self._process = None

    def _end_leftovers(self) -> None:
        """End servers of this data directory: the caller has its lock, so their parent is gone."""
        executable, mark = Path(self._recipe.argv[0]).name, str(self._recipe.data)
        leftovers = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                line = process.cmdline()
                if line and Path(line[0]).name == executable and mark in line:
                    process.send_signal(self._recipe.stop_signals[0][0])
                    leftovers.append(process)
        _, alive = psutil.wait_procs(leftovers, timeout=self._recipe.stop_signals[0][1])
        for process in alive:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(alive, timeout=5)

    def _tail(self) -> str:
        lines = self._recipe.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-5:])
