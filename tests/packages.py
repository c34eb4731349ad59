"""Packages for tests: built from a database by the builder itself, as one plain tar file."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

import asyncpg

from service.audit.package.build import Package, build_package
from service.audit.package.members import Piece, pack
from service.audit.package.request import PackageRequest
from service.ledger.keys import Keyring
from service.signer.signer import Signer


class PlainSink:
    """Members as plain files of a directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def open(self, place: int) -> BinaryIO:
        """Give the file of one member."""
        return (self._directory / str(place)).open("xb")

    def read(self, piece: Piece) -> Iterator[bytes]:
        """Yield the bytes of a piece."""
        with (self._directory / str(piece.place)).open("rb") as file:
            file.seek(piece.offset)
            yield file.read(piece.length)


def package_request(log: str, last: int, **more: Any) -> PackageRequest:
    """Return a request for the entries [0, last), core blocks disclosed; `more` replaces fields."""
    request = PackageRequest(
        export_id=uuid4(),
        log=log,
        first=0,
        last=last,
        purpose="a test",
        requested_by="ana",
        approved_by="bo",
    )
    return dataclasses.replace(request, **more)


async def built_package(
    dsn: str, ring: Keyring, request: PackageRequest, path: Path, signer_directory: Path
) -> Package:
    """Build the package that is asked for and write it to `path`.

    `signer_directory`: that of the signer of the log, which runs meanwhile.
    """
    directory = Path(tempfile.mkdtemp(prefix="members-", dir=path.parent))
    sink = PlainSink(directory)
    connection = await asyncpg.connect(dsn)
    try:
        async with signing(signer_directory, dsn, request.log):
            package = await build_package(connection, ring, request, sink)
    finally:
        await connection.close()
    with path.open("wb") as file:
        file.writelines(pack(package.members, sink.read))
    shutil.rmtree(directory)
    return package


@asynccontextmanager
async def signing(signer_directory: Path, dsn: str, log: str) -> AsyncIterator[None]:
    """Let the signer of a log run for as long as the block."""

    async def rounds() -> None:
        async with await Signer.open(signer_directory, dsn, log) as signer:
            while True:
                await signer.sign()
                await asyncio.sleep(0.02)

    task = asyncio.create_task(rounds())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
