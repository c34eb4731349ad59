"""How is a package built beside the service? By a process of its own, told its order on stdin.

It says how far it is in lines of JSON on stdout; the last one is the result or an error. Invariant:
it writes to nothing but the directory of the package, and ends soon after whoever started it.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from service.audit.exports.processes import Workers, failure
from service.audit.exports.requests import Export, read_export
from service.audit.exports.store import SealedStore
from service.audit.package.build import Package, build_package
from service.audit.package.members import Member
from service.audit.package.request import PackageRequest
from service.keys import open_wrapper
from service.ledger.keys import Keyring
from service.rights.periods import Periods
from service.settings import Settings

# Decisions come first: the service's workers are at 0.
NICE = 10
# Address space of each process; one takes 200 MB, mostly libraries.
MEMORY_BYTES = 8 << 30
SAY_SECONDS = 0.25


def order_text(settings: Settings, export_id: UUID, directory: Path, key: bytes) -> bytes:
    """Return what the process reads: everything that it needs, nothing from the environment."""
    return orjson.dumps(
        {
            "settings": settings.model_dump(mode="json"),
            "export_id": str(export_id),
            "directory": str(directory),
            "key": key.hex(),
        }
    )


def package_text(package: Package) -> dict[str, Any]:
    """Return a package as it goes through the pipe."""
    return {
        **package._asdict(),
        "members": [tuple(member) for member in package.members],
        "manifest": package.manifest.hex(),
    }


def package_of(told: dict[str, Any]) -> Package:
    """Return the package that a text says."""
    return Package(
        **{
            **told,
            "members": [Member(*one) for one in told["members"]],
            "manifest": bytes.fromhex(told["manifest"]),
        }
    )


def request_of(export: Export, settings: Settings) -> PackageRequest:
    """Return what is to be built for an export that was approved."""
    assert export.decided_by is not None
    return PackageRequest(
        export_id=export.id,
        log=settings.ledger.log_name,
        first=export.first,
        last=export.last,
        purpose=export.purpose,
        requested_by=export.requested_by,
        approved_by=export.decided_by,
        role=export.role,
        blocks=export.blocks,
        types=export.types,
        earlier=export.earlier,
        periods=Periods.of(settings),
    )


async def build(settings: Settings, export_id: UUID, store: SealedStore) -> Package:
    """Build the package of an export into its directory."""
    connection = await asyncpg.connect(settings.postgres.url)
    done, said_at = 0, 0.0

    def progress(more: int) -> None:
        nonlocal done, said_at
        done += more
        now = time.monotonic()
        if now - said_at >= SAY_SECONDS:
            said_at = now
            _say({"done": done})

    try:
        export = await read_export(connection, export_id)
        return await build_package(
            connection,
            Keyring(open_wrapper(settings)),
            request_of(export, settings),
            store,
            parts=Workers(settings, settings.exports.processes).parts,
            progress=progress,
        )
    finally:
        connection.terminate()


def main() -> int:
    os.nice(NICE)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # through every `finally`
    told = orjson.loads(sys.stdin.buffer.read())
    export_id = UUID(told["export_id"])
    store = SealedStore(Path(told["directory"]), export_id.bytes, bytes.fromhex(told["key"]))
    try:
        store.create()
        package = asyncio.run(build(Settings(**told["settings"]), export_id, store))
    except BrokenPipeError:
        return 1
    except Exception as error:  # noqa: BLE001 - who waits is told, `failure` logs
        _say({"error": failure(error)})
        return 1
    _say({"package": package_text(package)})
    return 0


def _say(line: dict[str, Any]) -> None:
    sys.stdout.buffer.write(orjson.dumps(line) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
