"""What tests of deployed rule sets share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from rules.files import RuleSetFiles
from service.embedded import EmbeddedServers
from service.settings import Settings
from tests.running import settings_on


def own_settings(
    servers: EmbeddedServers, base: Path, first: RuleSetFiles, postgres_url: str
) -> Settings:
    """Settings of a service with a database of its own that begins with `first`."""
    first.write(base / "first")
    settings = settings_on(servers, base, patient_ms=10_000, rules_dir=base / "first")
    postgres = settings.postgres.model_copy(update={"url": postgres_url})
    return settings.model_copy(update={"postgres": postgres})


async def until(holds: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for what must come."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.01)
