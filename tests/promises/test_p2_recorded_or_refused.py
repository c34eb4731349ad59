"""P2: what cannot be recorded is not answered."""

from __future__ import annotations

from pathlib import Path

from service.embedded import EmbeddedServers
from service.keys import open_wrapper
from service.ledger.verify import verify_log
from tests.events import event
from tests.running import Here, entries, service_here, settings_on
from tests.soak.kills import stop_at_once

SPOOL_BYTES = 96 * 1024
SENT = 60


async def test_p2_without_a_record_there_is_no_answer(tmp_path: Path) -> None:
    """With PostgreSQL away the spool takes entries until it is full; from then on nothing is
    answered but 503, and when PostgreSQL is back every answer that left is in the ledger."""
    answered: set[str] = set()
    with EmbeddedServers.start(tmp_path / "servers") as servers:
        settings = settings_on(
            servers, tmp_path, patient_ms=1_000, ledger={"spool_max_bytes": SPOOL_BYTES}
        )
        async with service_here(settings) as here:
            assert await _statuses(here, 3, answered) == [200] * 3
            await stop_at_once(servers)
            statuses = await _statuses(here, SENT, answered)
            spooled = statuses.count(200)
            assert 5 < spooled < SENT, "the spool took some, not all"
            assert statuses == [200] * spooled + [503] * (SENT - spooled)
            files = list((settings.var / "spool").glob("*.spool"))
            assert sum(path.stat().st_size for path in files) <= SPOOL_BYTES
            taught = await here.client.score(event("login"), "/v1/events")
            assert taught.status == 503, "what only teaches is recorded, too"
            # What people do needs PostgreSQL in any case.
            made = await here.client.score(
                {"name": "some", "purpose": "deny", "description": "a test"}, "/v1/lists"
            )
            assert made.status == 503
            assert servers.postgres is not None
            servers.postgres.start()
        async with service_here(settings) as here:
            assert await _statuses(here, 3, answered) == [200] * 3
        recorded = {entry.entry_id.hex() for entry in await entries(settings)}
        assert settings.postgres.url is not None
        report = await verify_log(
            settings.postgres.url,
            wrapper=open_wrapper(settings),
            spool_dir=settings.var / "spool",
        )
    assert len(answered) == spooled + 6
    assert answered <= recorded
    assert report.exit_code == 0, report.render()


async def test_p2_without_a_spool_nothing_is_answered(tmp_path: Path) -> None:
    """With PostgreSQL away and no spool every decision is refused, and none is recorded."""
    with EmbeddedServers.start(tmp_path / "servers") as servers:
        settings = settings_on(servers, tmp_path, patient_ms=1_000, ledger={"spool_max_bytes": 0})
        async with service_here(settings) as here:
            answered: set[str] = set()
            assert await _statuses(here, 1, answered) == [200]
            await stop_at_once(servers)
            assert await _statuses(here, 5, answered) == [503] * 5
            assert servers.postgres is not None
            servers.postgres.start()
        recorded = {e.entry_id.hex() for e in await entries(settings) if e.type == "decision"}
    assert recorded == answered


async def _statuses(here: Here, number: int, answered: set[str]) -> list[int]:
    """Send events one after the other; keep the decisions that were answered."""
    found = []
    for at in range(number):
        answer = await here.client.score(event("checkout", user={"id": f"u-{at}"}))
        found.append(answer.status)
        if answer.status == 200:
            answered.add(answer.json["decision_id"])
    return found
