"""What an export costs: `python -m tests.bench.export_bench`.

Makes a log of decisions as the service writes them (about 3.7 KB each), places and signs it, and
builds packages of all of it: every view, sealed on disk, as the service's child process does it.
Once with core blocks (the default), once with nothing and once with everything disclosed. Prints
seconds, CPU of this program and its processes (not of PostgreSQL), bytes and peak memory. Then
holds the default package against `verify.py`. Nothing here asserts a time.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg

from service.audit.exports.processes import Workers
from service.audit.exports.store import KEY_BYTES, SealedStore
from service.audit.package import verify
from service.audit.package.build import Package, build_package
from service.audit.package.members import pack
from service.embedded import EmbeddedServers
from service.keys import open_wrapper
from service.ledger.entry import EntryDraft
from service.ledger.keys import Keyring
from service.migrate import migrate
from service.secrets_files import ensure_keys
from service.settings import Settings
from tests.integration.history_cases import KEK, LOG, START, entry, store
from tests.keeping import checkpointed
from tests.packages import package_request, signing

CHUNK = 20_000
DISCLOSED: dict[str, tuple[str, ...]] = {
    "core": ("core",),
    "nothing": (),
    "everything": ("core", "staff", "subject"),
}


class Figures(NamedTuple):
    """What one package took."""

    disclosed: str
    entries: int
    processes: int
    seconds: float
    cpu_seconds: float
    megabytes: float
    peak_mb: float


def decision(number: int, rng: random.Random) -> EntryDraft:
    """Return a decision with as much in its blocks as a real one has."""
    hits = [f"coupon-new-account-{number % 13}", f"device-many-users-{number % 7}"]
    answer: dict[str, Any] = {
        "event_id": f"ord-{number:08d}",
        "score": rng.random(),
        "reasons": [
            {
                "code": "COUPON_NEW_ACCOUNT_HIGH_VALUE",
                "text": {
                    "en": "A high-value coupon is used by a very new account.",
                    "zh": "新注册账户使用了高额优惠券。",
                },
                "source": f"rule:{hit}",
            }
            for hit in hits
        ],
        "rule_hits": [
            {"rule_id": hit, "status": "hit", "outcome": "challenge", "mode": "live"}
            for hit in hits
        ],
        "step_up": {"method": "one_time_code", "delay_seconds": 0},
        "degraded": [],
        "latency_ms": 0.84,
    }
    facts = {f"device_some_feature_{name}_24h": rng.randrange(40) for name in range(40)}
    subject = {
        "tags": {"user": f"{number % 250_000:032x}", "device": f"{number % 300_000:032x}"},
        "fields": {"event.type": "checkout", "order.amount_base_minor": number},
        "writes": {},
        "facts": facts,
        "occurred_at": START,
    }
    return entry(
        START + timedelta(seconds=number // 20),
        tags={"user": f"{number % 250_000:032x}"},
        answer=answer,
        subject=subject,
        outcome=("approve", "challenge", "decline")[number % 3],
        versions={"rule_set": "a" * 64, "bundle": "b" * 64, "catalog": "c" * 64, "code": "d" * 64},
    )


async def fill(dsn: str, entries: int) -> None:
    """Put decisions into an empty log."""
    rng = random.Random(7)
    await migrate(dsn)
    for begin in range(0, entries, CHUNK):
        count = min(CHUNK, entries - begin)
        await store(dsn, [decision(begin + one, rng) for one in range(count)])
    connection = await asyncpg.connect(dsn)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()


async def build(settings: Settings, entries: int, disclosed: str, processes: int) -> Package:
    """Build a package under VAR/exports and return it; its store is `_store`."""
    dsn = str(settings.postgres.url)
    request = package_request(LOG, entries, blocks=DISCLOSED[disclosed])
    store_of = _store(settings)
    store_of.create()
    connection = await asyncpg.connect(dsn)
    try:
        async with signing(settings.var / "signer", dsn, LOG):
            return await build_package(
                connection,
                Keyring(open_wrapper(settings)),
                request,
                store_of,
                parts=Workers(settings, processes).parts,
            )
    finally:
        await connection.close()


def measure(settings: Settings, entries: int, disclosed: str, processes: int) -> Figures:
    """Build one package and say what it took."""
    began, cpu = time.perf_counter(), _cpu()
    package = asyncio.run(build(settings, entries, disclosed, processes))
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return Figures(
        disclosed, entries, processes, time.perf_counter() - began, _cpu() - cpu,
        package.size / 1e6, peak,
    )  # fmt: skip


def proven(settings: Settings, entries: int, directory: Path) -> str:
    """Build the default package, let `verify.py` prove it, and say how long that took."""
    package = asyncio.run(build(settings, entries, "core", 2))
    file = directory / "package.tar"
    with file.open("wb") as out:
        out.writelines(pack(package.members, _store(settings).read))
    _store(settings).remove()
    key = asyncio.run(_vkey(str(settings.postgres.url)))
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, verify.__file__, str(file), "--key", key],
        capture_output=True,
        text=True,
        check=False,
    )
    file.unlink()
    return f"verify.py: exit code {done.returncode} in {time.perf_counter() - began:.1f} s"


async def _vkey(dsn: str) -> str:
    connection = await asyncpg.connect(dsn)
    try:
        return str(
            await connection.fetchval(
                "SELECT vkey FROM ledger_signer_key ORDER BY position DESC LIMIT 1"
            )
        )
    finally:
        await connection.close()


def _store(settings: Settings) -> SealedStore:
    return SealedStore(settings.var / "exports" / "bench", bytes(16), b"e" * KEY_BYTES)


def _cpu() -> float:
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--disclose", choices=DISCLOSED, action="append")
    parser.add_argument("--prove", action="store_true", help="hold the package against verify.py")
    arguments = parser.parse_args()
    base = Path(tempfile.mkdtemp(prefix="export-bench-"))
    try:
        with EmbeddedServers.start(base / "servers", valkey=False) as servers:
            assert servers.postgres_url is not None
            settings = _settings(base, servers.postgres_url)
            began = time.perf_counter()
            asyncio.run(fill(servers.postgres_url, arguments.entries))
            asyncio.run(checkpointed(servers.postgres_url, settings.var / "signer", LOG))
            print(f"filled, placed and signed in {time.perf_counter() - began:.1f} s", flush=True)
            for disclosed in arguments.disclose or DISCLOSED:
                figures = measure(settings, arguments.entries, disclosed, arguments.processes)
                each = figures.cpu_seconds / figures.entries * 1e6
                print(
                    f"{figures.disclosed}: {figures.entries} entries, {figures.processes} "
                    f"processes: {figures.seconds:.1f} s, CPU {figures.cpu_seconds:.1f} s "
                    f"({each:.0f} us an entry), {figures.megabytes:.0f} MB, peak "
                    f"{figures.peak_mb:.0f} MB a process",
                    flush=True,
                )
                _store(settings).remove()
            if arguments.prove:
                print(proven(settings, arguments.entries, base), flush=True)
    finally:
        shutil.rmtree(base, ignore_errors=True)
    return 0


def _settings(base: Path, dsn: str) -> Settings:
    (base / "keys").mkdir()
    for name, key in (("kek", KEK), ("tag", os.urandom(32))):
        file = base / "keys" / f"{name}.key"
        file.write_bytes(key)
        file.chmod(0o600)
    settings = Settings(
        var=base / "var",
        postgres={"url": dsn},
        keys={"kek_file": base / "keys/kek.key", "tag_key_file": base / "keys/tag.key"},
    )
    ensure_keys(settings)
    return settings


if __name__ == "__main__":
    sys.exit(main())
