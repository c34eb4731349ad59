"""An export from asking to fetching: two people, a process beside the service, a file that expires."""

from __future__ import annotations

import asyncio
import io
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from service.embedded import EmbeddedServers
from tests.audit_exports import PERSON, Record, recorded
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


async def test_an_export_from_asking_to_fetching(record: Record) -> None:
    """One person asks, another approves, the first one fetches a tar; every step is an entry."""
    export = await record.requested("cora", last=record.entries)
    assert (export["state"], export["entries"]) == ("requested", record.entries)
    assert (await record.clients["cora"].get(path_of(export))).json["code"] == "wrong_export_state"
    assert (await record.post("carl", export, "approve", note="the yearly audit")).status == 200
    done = await record.ended(export)
    assert (done["state"], done["done"], done["error"]) == ("ready", record.entries, None)
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
