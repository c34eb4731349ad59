"""Who builds the packages that were approved, and who deletes them? A worker of the service.

Invariant: a package is there together with the record of what it discloses, or not at all; what
has no job, or has expired, is not left on this disk for long.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import time
from pathlib import Path
from typing import Any
from uuid import UUID

from service.actions import SYSTEM, Actions
from service.audit.exports.child import order_text, package_of
from service.audit.exports.errors import PackageNotHere
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
from service.job_runner import JobFailed, JobRunner, Said
from service.ledger.errors import LedgerError
from service.ledger.keys import KeyWrapper
from service.settings import Settings

COMMAND = ("-m", "service.audit.exports.child")
SWEEP_SECONDS = 2.0


class Exports(JobRunner[Export]):
    """Builds one package at a time, and knows those that lie here; an async context manager."""

    kind = "export"
    channel = CHANNEL
    too_long = "It took longer than six hours: choose a shorter range."

    def __init__(
        self, settings: Settings, actions: Actions, changes: Changes, wrapper: KeyWrapper
    ) -> None:
        super().__init__(settings, actions, changes)
        self._wrapper = wrapper
        self._directory = settings.var / "exports"
        self.node = f"{socket.gethostname()}:{settings.var.resolve()}"
        self._swept_at = 0.0

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
        await super()._look(connection)

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

    async def _claim(self, connection: Any) -> Export | None:
        return await claim(connection, self.node) if await needs_runner(connection) else None

    async def _do(self, connection: Any, export: Export) -> None:
        key = os.urandom(KEY_BYTES)
        is_kept = False
        try:
            package = await self._package(connection, export, key)
            await self._keep(export, key, package)
            is_kept = True
        finally:
            if not is_kept:
                store = self._store(export.id, export.attempt, key)
                await asyncio.to_thread(store.remove)

    async def _package(self, connection: Any, export: Export, key: bytes) -> Package:
        directory = self._directory / directory_name(export.id, export.attempt)
        text = order_text(self._settings, export.id, directory, key)
        return package_of(await self._answer(connection, export, COMMAND, text, "package"))

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
                raise JobFailed("The job was ended by somebody else.")

    async def _beat(self, connection: Any, export: Export, said: Said) -> bool:
        return await beat(connection, export.id, said.get("done", 0))

    async def _end(self, connection: Any, export: Export, state: str, error: str | None) -> None:
        await end_job(connection, export.id, state, error)

    async def _put_back(self, connection: Any, export: Export) -> None:
        await put_back(connection, export.id)

    def _store(self, export_id: UUID, attempt: int, key: bytes) -> SealedStore:
        directory = self._directory / directory_name(export_id, attempt)
        return SealedStore(directory, export_id.bytes, key)


class _Gone(Exception):
    """What was to be changed is not there any more."""


def _names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()} if directory.is_dir() else set()


def _key_name(export_id: UUID) -> str:
    return f"export/{export_id}"
