"""How does the service run? Servers, migrations, workers; and back in reverse order.

Invariants: nothing starts unless the port is free and the keys are there; nothing that was started
here outlives this process, however it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

from service.embedded import EmbeddedServers
from service.guards import check_secrets
from service.keys import open_wrapper
from service.secrets_files import ensure_keys
from service.settings import PREFIX, Settings

MAX_WORKERS = 64


class ServeError(Exception):
    """The service cannot run; the text says why in one line."""

    code = "serve_failed"


@dataclass(frozen=True, slots=True)
class Serving:
    """What is known once every worker answers; also written to VAR/run/service.json."""

    url: str
    pid: int
    workers: list[int]


def serve(
    settings: Settings, *, workers: int = 1, on_ready: Callable[[Serving], None] = lambda _: None
) -> bool:
    """Run the service until SIGINT or SIGTERM; return False if its workers could not start.

    Brings up the embedded servers that the settings give no URL for, and migrates the database.
    Raises `ServeError`, `EmbeddedError`, `KeyFileError`, `KeyServiceError`, `MigrationError`,
    `PlaceholderSecret`, and `SignerRefuses` when the database lacks what was recorded.
    """
    settings = settings.model_copy(update={"var": settings.var.expanduser().resolve()})
    signal.signal(signal.SIGTERM, _leave)
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(_bound(settings.http.host, settings.http.port))
        ensure_keys(settings)
        check_secrets(settings)
        open_wrapper(settings)  # a key service that does not give the key is one clear line here
        servers = stack.enter_context(_servers(settings))
        _tell_workers(settings, servers, workers)
        _migrate(settings, os.environ[f"{PREFIX}POSTGRES__URL"])
        # Loaded this late because uvicorn takes a quarter of a second that errors need not wait.
        from service.supervisor import Supervisor
        from service.tree_keepers import TreeKeepers

        state = settings.var / "run" / "service.json"
        state.unlink(missing_ok=True)
        stack.callback(state.unlink, missing_ok=True)

        def ready(pids: list[int]) -> None:
            serving = Serving(_url(listener), os.getpid(), pids)
            _write(state, serving)
            on_ready(serving)

        keepers = TreeKeepers(_keepers(settings))
        stack.callback(keepers.stop)
        supervisor = Supervisor(workers, listener, servers, keepers, on_ready=ready)
        return supervisor.run_until_stopped()


@contextlib.contextmanager
def _bound(host: str, port: int) -> Iterator[socket.socket]:
    """Hold the address without listening: until the workers do, callers are refused at once."""
    try:
        kind, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        probe, holder = socket.socket(kind), socket.socket(kind)
    except OSError as error:
        raise ServeError(f"cannot listen on {host}: {error.strerror}") from None
    with holder:
        try:
            with probe:  # alone: sharing the port would let a second service in
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
                address = probe.getsockname()
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            holder.bind(address)
        except OSError as error:
            hint = "; --port chooses another port" if port else ""
            raise ServeError(
                f"cannot listen on {host} port {port}: {error.strerror}{hint}"
            ) from None
        yield holder


@contextlib.contextmanager
def _servers(settings: Settings) -> Iterator[EmbeddedServers | None]:
    needs_valkey, needs_postgres = settings.valkey.url is None, settings.postgres.url is None
    settings.var.mkdir(parents=True, exist_ok=True)
    if not (needs_valkey or needs_postgres):
        (settings.var / "run").mkdir(exist_ok=True)
        yield None
        return
    with EmbeddedServers.start(
        settings.var, valkey=needs_valkey, postgres=needs_postgres
    ) as servers:
        yield servers


def _tell_workers(settings: Settings, servers: EmbeddedServers | None, workers: int) -> None:
    """Put what was decided here into the environment, which is how workers get their settings."""
    os.environ[f"{PREFIX}VAR"] = str(settings.var)
    for group, embedded_url, given in (
        ("VALKEY", servers and servers.valkey_url, settings.valkey.url),
        ("POSTGRES", servers and servers.postgres_url, settings.postgres.url),
    ):
        os.environ[f"{PREFIX}{group}__URL"] = embedded_url or given or ""
    metrics = settings.var / "run" / "metrics"
    shutil.rmtree(metrics, ignore_errors=True)
    os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
    if workers > 1:
        metrics.mkdir(parents=True)
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics)


def _migrate(settings: Settings, dsn: str) -> None:
    """Bring the database up to date, unless it is not the one that was signed."""
    import asyncpg

    from service.guards import check_record
    from service.migrate import migrate
    from service.rights.replay import replay_file

    async def checked() -> None:
        await migrate(dsn)
        connection = await asyncpg.connect(dsn)
        try:
            await check_record(settings, connection)
            await replay_file(connection, settings)
        finally:
            await connection.close()

    try:
        asyncio.run(checked())
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        text = str(error).strip() or type(error).__name__
        raise ServeError(f"PostgreSQL cannot be used: {text}") from None


def _keepers(settings: Settings) -> list[str]:
    """Return the processes that keep the tree, in the order in which they need one another."""
    chosen = {
        "service.sequencer": settings.ledger.sequence,
        "service.signer": settings.ledger.sign,
    }
    return [module for module, runs in chosen.items() if runs]


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - only compared
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


def _write(state: Path, serving: Serving) -> None:
    fresh = state.with_suffix(".new")
    text = {"url": serving.url, "pid": serving.pid, "workers": serving.workers}
    fresh.write_text(json.dumps(text), encoding="utf-8")
    fresh.replace(state)


def _leave(number: int, _frame: FrameType | None) -> NoReturn:
    """Leave through every `with` when a SIGTERM comes before the workers run."""
    sys.exit(128 + number)
