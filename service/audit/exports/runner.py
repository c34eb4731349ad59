"""Who builds the packages that were approved, and who deletes them? A worker of the service.

Invariants: a job that was claimed here ends here: ready, failed, cancelled, or put back when the
service stops; if this process dies, another gives the job up by its silence. What has no job, or
has expired, is not left on this disk for long.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import socket
import sys
import time
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import asyncpg
import orjson

from service.actions import SYSTEM, Actions
from service.audit.exports.child import order_text, package_of
from service.audit.exports.errors import BuildFailed, PackageNotHere
from service.audit.exports.jobs import (
    CHANNEL,
    ReadyPackage,
    beat,
    claim,
    directory_name,
    due,
    end_job,
    expire,
    here,
    keep_ready,
    needs_runner,
    put_back,
)
from service.audit.exports.requests import Export
from service.audit.exports.store import KEY_BYTES, SealedStore
from service.audit.package.build import Package
from service.changes import Changes
from service.children import end
from service.errors import Refused
from service.ledger.errors import LedgerError
from service.ledger.keys import KeyWrapper
from service.settings import Settings

COMMAND = ("-m", "service.audit.exports.child")
BEAT_SECONDS = 0.5
SWEEP_SECONDS = 2.0
# A year of a large shop; what takes longer hinders all that wait.
LONGEST_SECONDS = 6 * 3600.0
# The result names five members for each 100,000 entries.
LONGEST_LINE = 64 << 20

log = logging.getLogger(__name__)


class Cancelled(Exception):
    """Somebody asked for the job to end."""


class Exports:
    """Builds one package at a time, and knows those that lie here; an async context manager."""

    def __init__(
        self, settings: Settings, actions: Actions, changes: Changes, wrapper: KeyWrapper
    ) -> None:
        self._settings = settings
        self._actions = actions
        self._changes = changes
        self._wrapper = wrapper
        self._directory = settings.var / "exports"
        self.node = f"{socket.gethostname()}:{settings.var.resolve()}"
        self._is_ending = False
        self._swept_at = 0.0
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._changes.follow(CHANNEL, self._look)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_ending = True
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def store_of(self, package: ReadyPackage) -> SealedStore:
        """Return where the bytes of a package come from. Raises `PackageNotHere`."""
        try:
            key = self._wrapper.unwrap(_key_name(package.export_id), package.wrapped)
        except LedgerError:
            raise PackageNotHere("The key of the package cannot be opened any more.") from None
        store = self._store(package.export_id, package.attempt, key)
        if not store.is_there:
            raise PackageNotHere("The files of the package are gone.")
        return store

    async def _look(self, connection: Any) -> None:
        """Expire and sweep, and claim a job if one waits; after every change and twice a second."""
        if self._is_ending:
            return
        expired = await due(connection)
        for export_id in expired:
            await self._expire(export_id)
        now = time.monotonic()
        if expired or now - self._swept_at >= SWEEP_SECONDS:
            self._swept_at = now
            await self._sweep(connection)
        if self._task is not None and not self._task.done():
            return
        if await needs_runner(connection):
            export = await claim(connection, self.node)
            if export is not None:
                self._task = asyncio.create_task(self._run(export), name="export")

    async def _expire(self, export_id: UUID) -> None:
        with contextlib.suppress(_Gone):
            async with self._actions.action(
                "export.expire", {"actor": SYSTEM}, export=str(export_id)
            ) as action:
                if not await expire(action.connection, export_id):
                    raise _Gone  # another worker did, and recorded it

    async def _sweep(self, connection: Any) -> None:
        """Delete the directories of VAR/exports that belong to no package."""
        found = await asyncio.to_thread(_names, self._directory)
        if not found:
            return
        for name in found - await here(connection, self.node):
            await asyncio.to_thread(shutil.rmtree, self._directory / name, ignore_errors=True)

    async def _run(self, export: Export) -> None:
        try:
            async with self._actions.connection() as connection:
                await self._finish(connection, export)
        except (Refused, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            # Without the database nothing can be said of the job; its silence will.
            log.warning("the export %s was left: %s", export.id, error)

    async def _finish(self, connection: Any, export: Export) -> None:
        key = os.urandom(KEY_BYTES)
        store = self._store(export.id, export.attempt, key)
        is_kept = False
        try:
            package = await self._package(connection, export, key)
            await self._keep(export, key, package)
            is_kept = True
        except asyncio.CancelledError:
            await put_back(connection, export.id)
            raise
        except Cancelled:
            await end_job(connection, export.id, "cancelled")
        except (BuildFailed, Refused, LedgerError) as error:
            await end_job(connection, export.id, "failed", str(error))
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            raise
        except Exception:
            log.exception("the export %s failed", export.id)
            await end_job(connection, export.id, "failed", "An error of ours; see the log.")
        finally:
            if not is_kept:
                await asyncio.to_thread(store.remove)

    async def _keep(self, export: Export, key: bytes, package: Package) -> None:
        """Keep the package, and put on record what it discloses."""
        hours = self._settings.exports.keep_hours
        async with self._actions.action(
            "export.build",
            {"actor": SYSTEM, "requested_by": export.requested_by},
            export=str(export.id),
            manifest_sha256=package.manifest.hex(),
            checkpoint_size=package.checkpoint_size,
            bytes=package.size,
            entries=package.entries,
            opened=package.opened,
            withheld=package.withheld,
        ) as action:
            wrapped = self._wrapper.wrap(_key_name(export.id), key)
            if not await keep_ready(action.connection, export, wrapped, package, hours):
                raise BuildFailed("The job was ended by somebody else.")

    async def _package(self, connection: Any, export: Export, key: bytes) -> Package:
        directory = self._directory / directory_name(export.id, export.attempt)
        text = order_text(self._settings, export.id, directory, key)
        process = await asyncio.create_subprocess_exec(
            sys.executable, *COMMAND,
            stdin=PIPE, stdout=PIPE, limit=LONGEST_LINE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                return await _followed(connection, export.id, process, text)
        except TimeoutError:
            raise BuildFailed("It took longer than six hours: choose a shorter range.") from None
        finally:
            await end(process)  # its own children follow: nobody reads their pipes

    def _store(self, export_id: UUID, attempt: int, key: bytes) -> SealedStore:
        directory = self._directory / directory_name(export_id, attempt)
        return SealedStore(directory, export_id.bytes, key)


class _Gone(Exception):
    """What was to be changed is not there any more."""


async def _followed(connection: Any, export_id: UUID, process: Process, text: bytes) -> Package:
    """Pass on what the process says until its package; raises `Cancelled` and `BuildFailed`."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(text)
    process.stdin.close()
    done, said_at = 0, 0.0
    line: asyncio.Task[bytes] | None = None
    package: Package | None = None
    try:
        while True:
            line = line or asyncio.ensure_future(process.stdout.readline())
            await asyncio.wait((line,), timeout=BEAT_SECONDS)
            if line.done():
                raw, line = line.result(), None
                if not raw:
                    raise BuildFailed("Its process ended by itself: was it killed?")
                told = orjson.loads(raw)
                if "error" in told:
                    raise BuildFailed(told["error"])
                done = told.get("done", done)
                package = package_of(told["package"]) if "package" in told else None
            now = asyncio.get_running_loop().time()
            if package is not None or now - said_at >= BEAT_SECONDS:
                said_at = now
                if not await beat(connection, export_id, done):
                    raise Cancelled
            if package is not None:
                return package
    finally:
        if line is not None:
            line.cancel()


def _names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()} if directory.is_dir() else set()


def _key_name(export_id: UUID) -> str:
    return f"export/{export_id}"
