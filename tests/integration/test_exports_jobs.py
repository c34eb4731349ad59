"""An export from asking to fetching: two people, a process beside the service, a file that goes."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import tarfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest

from service.audit.exports.jobs import SILENT_SECONDS
from service.embedded import EmbeddedServers
from tests.audit_exports import Record, recorded
from tests.people import give_roles
from tests.recorded_actions import recorded_actions


@pytest.fixture
async def record(
    servers: EmbeddedServers, fresh_postgres_url: str, tmp_path: Path
) -> AsyncIterator[Record]:
    """A service with 30 signed events."""
    async with recorded(servers, fresh_postgres_url, tmp_path) as running:
        yield running


def path_of(export: dict[str, Any]) -> str:
    return f"/v1/audit/exports/{export['id']}/package"


async def code_of(record: Record, who: str, export: dict[str, Any]) -> str:
    """Return why somebody cannot fetch a package."""
    return str((await record.clients[who].get(path_of(export))).json["code"])


def packages(record: Record) -> list[Path]:
    """Return every file under VAR/exports."""
    return [one for one in (record.here.settings.var / "exports").rglob("*") if one.is_file()]


async def gone(record: Record, seconds: float = 10) -> None:
    """Wait until no file of a package is left."""
    async with asyncio.timeout(seconds):
        while packages(record):  # noqa: ASYNC110 - polled
            await asyncio.sleep(0.05)


async def test_an_export_from_asking_to_fetching(record: Record) -> None:
    """One person asks, another approves, the first one fetches a tar; every step is an entry."""
    export = await record.requested("cora", last=record.entries)
    assert (export["state"], export["entries"]) == ("requested", record.entries)
    assert await code_of(record, "cora", export) == "wrong_export_state"
    assert (await record.post("cora", export, "approve")).json["code"] == "own_export"
    assert (await record.post("ann", export, "approve")).json["code"] == "missing_scope"
    assert (await record.post("carl", export, "approve", note="the yearly audit")).status == 200
    assert (await record.post("carl", export, "approve")).json["code"] == "export_decided"
    done = await record.ended(export)
    assert (done["state"], done["done"], done["error"]) == ("ready", record.entries, None)
    assert await code_of(record, "carl", export) == "export_not_allowed"
    answer = await record.clients["cora"].get(path_of(export))
    assert answer.status == 200
    assert len(answer.content) == done["bytes"] == int(answer.headers["content-length"])
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as tar:
        names = tar.getnames()
    assert names[:4] == ["README.en.md", "README.zh.md", "verify.py", "export.json"]
    assert names[-2:] == ["manifest.json", "manifest.note"]
    actions = await recorded_actions(record.here.settings, "export.")
    assert [action.type for action in actions] == [
        "export.request", "export.approve", "export.build", "export.download",
    ]  # fmt: skip
    who = {action.type: action.who["actor"] for action in actions}
    assert who["export.request"] == who["export.download"] == "cora"
    assert who["export.approve"] == "carl"
    assert actions[0].who["purpose"] == "audit"
    assert actions[2].what["manifest_sha256"] == done["manifest_sha256"]


async def test_a_download_goes_on_where_it_broke(record: Record) -> None:
    """Any range of the package is that of the whole; another build is not mixed with it."""
    export = await record.ready(last=record.entries, blocks=["core", "subject"])
    cora = record.clients["cora"]
    whole = await cora.get(path_of(export))
    size, tag = len(whole.content), whole.headers["etag"]
    for asked, start, stop in (
        ("bytes=0-0", 0, 1), (f"bytes=500-{size}", 500, size), ("bytes=-7", size - 7, size),
        ("bytes=1000-70000", 1000, min(70001, size)), (f"bytes={size - 1}-", size - 1, size),
    ):  # fmt: skip
        part = await cora.get(path_of(export), {"Range": asked, "If-Range": tag})
        assert part.status == 206, asked
        assert part.content == whole.content[start:stop]
        assert part.headers["content-range"] == f"bytes {start}-{stop - 1}/{size}"
    for headers in (
        {"Range": "bytes=5-", "If-Range": '"another"'}, {"Range": "lines=1-"},
        {"Range": "bytes=1-2,4-5"}, {"Range": "bytes=9-3"},
    ):  # fmt: skip
        answer = await cora.get(path_of(export), headers)
        assert (answer.status, answer.content) == (200, whole.content)
    beyond = await cora.get(path_of(export), {"Range": f"bytes={size}-"})
    assert (beyond.status, beyond.json["code"]) == (416, "range_unsatisfiable")
    downloads = await recorded_actions(record.here.settings, "export.download")
    assert len(downloads) == 10, "each on record, but the one that was refused"
    assert downloads[1].what["bytes"] == 1


async def test_a_package_lies_sealed_and_goes_when_its_time_is_over(record: Record) -> None:
    """On disk nothing of it can be read; a damaged file is not served; it is deleted in the end."""
    export = await record.ready(last=record.entries, blocks=["core", "subject"])
    files = packages(record)
    raw = b"".join(file.read_bytes() for file in files)
    assert b"touchstone" not in raw
    assert b"opened" not in raw
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    cora = record.clients["cora"]
    good = files[0].read_bytes()
    files[0].write_bytes(good[:40] + bytes([good[40] ^ 1]) + good[41:])
    assert await code_of(record, "cora", export) == "package_not_here"
    files[0].write_bytes(good)
    assert (await cora.get(path_of(export))).status == 200
    await record.database.execute("UPDATE export_job SET expires_at = now()")
    assert await code_of(record, "cora", export) == "wrong_export_state"
    await gone(record)
    assert (await record.read(export))["state"] == "expired"
    [expired] = await recorded_actions(record.here.settings, "export.expire")
    assert expired.what["export"] == export["id"]
    assert await record.database.fetchval("SELECT wrapped FROM export_job") is None


async def test_nobody_fetches_more_than_their_role_allows(record: Record) -> None:
    """Auditors get no person; who loses the role loses the package; others see none of it."""
    asked = {"purpose": "x", "blocks": ["subject"]}
    refused = await record.clients["audrey"].score(asked, "/v1/audit/exports")
    assert (refused.status, refused.json["code"]) == (403, "export_not_allowed")
    export = await record.ready("audrey", last=record.entries, blocks=["core", "staff"])
    assert (await record.clients["audrey"].get(path_of(export))).status == 200
    for who in ("cora", "carl"):
        assert await code_of(record, who, export) == "export_not_allowed"
    assert await code_of(record, "ann", export) == "missing_scope"
    persons = await record.ready("cora", last=record.entries, blocks=["subject"])
    await give_roles(record.database, "cora", "auditor")
    async with asyncio.timeout(10):
        while (await record.clients["cora"].get(path_of(persons))).status == 200:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert await code_of(record, "cora", persons) == "export_not_allowed"


async def test_what_is_asked_for_is_what_there_is(record: Record) -> None:
    """A range by time, by number or since a checkpoint ends under a signed checkpoint."""
    cora, size = record.clients["cora"], record.entries
    asked: Sequence[tuple[dict[str, Any], int]] = (
        ({}, size),
        ({"first": 3, "last": 9, "earlier": [2]}, 6),
        ({"since": "2026-11-22T08:15:30Z", "until": "2026-11-22T08:15:31Z"}, 30),
    )
    for body, entries in asked:
        export = await record.requested("cora", **body)
        assert export["entries"] >= entries
        assert export["first"] == body.get("first", export["first"])
        assert export["last"] == body.get("last", export["last"])
        answer = await record.post("cora", export, "cancel")
        assert answer.json["state"] == "withdrawn"
    nothing: Sequence[dict[str, Any]] = (
        {"first": 0, "last": 2**40}, {"since": "2031-01-01T00:00:00Z"}, {"earlier": [2**40]},
        {"first": 2**40},
    )  # fmt: skip
    for body in nothing:
        answer = await cora.score({"purpose": "x", **body}, "/v1/audit/exports")
        assert (answer.status, answer.json["code"]) == (422, "nothing_to_export"), body


async def test_a_build_that_is_killed_can_be_asked_for_again(record: Record) -> None:
    """A killed process and a silent service end the job with a sentence; nothing stays on disk."""
    export = await record.requested("cora", last=record.entries)
    blocker = await asyncpg.connect(record.dsn)
    transaction = blocker.transaction()
    await transaction.start()
    await blocker.execute("LOCK TABLE ledger_leaf")
    assert (await record.post("carl", export, "approve")).status == 200
    os.kill(await builder(), signal.SIGKILL)
    failed = await record.ended(export)
    assert failed["state"] == "failed"
    assert "killed" in failed["error"]
    await gone(record)
    assert (await record.post("carl", export, "retry")).json["code"] == "export_not_allowed"
    assert (await record.post("cora", export, "retry")).status == 200
    await builder()
    cancelled = await record.post("carl", export, "cancel")
    assert cancelled.status == 200
    assert (await record.ended(export))["state"] == "cancelled"
    await gone(record)
    assert builders() == []
    assert (await record.post("cora", export, "retry")).json["code"] == "wrong_export_state"
    silent = await record.requested("cora", last=record.entries)
    record.here.runtime.exports._is_ending = True  # this service says no word any more
    assert (await record.post("carl", silent, "approve")).status == 200
    await record.database.execute(
        "UPDATE export_job SET state = 'running', node = 'another', heartbeat_at = "
        "now() - make_interval(secs => $1) WHERE state = 'queued'",
        SILENT_SECONDS + 1,
    )
    record.here.runtime.exports._is_ending = False
    ended = await record.ended(silent)
    assert (ended["state"], "export retry" in ended["error"]) == ("failed", True)
    await transaction.rollback()
    await blocker.close()
    assert (await record.post("cora", silent, "retry")).status == 200
    assert (await record.ended(silent))["state"] == "ready"


def builders() -> list[int]:
    """Return the processes of ours that build a package."""
    own = psutil.Process().children(recursive=True)
    return [one.pid for one in own if "service.audit.exports.child" in " ".join(one.cmdline())]


async def builder() -> int:
    """Wait for a process that builds a package and return it."""
    async with asyncio.timeout(20):
        while not (found := builders()):  # noqa: ASYNC110 - polled
            await asyncio.sleep(0.02)
    return found[0]
