"""P3: every entry is covered by a signed checkpoint within 10 s. Long: `soak ARGS=coverage`."""

from __future__ import annotations

from pathlib import Path

from service.embedded import EmbeddedServers
from tests.running import settings_on
from tests.soak.coverage import MOST_SECONDS, follow


async def test_p3_every_answer_is_covered_by_a_signed_checkpoint_within_ten_seconds(
    servers: EmbeddedServers, fresh_postgres_url: str, tmp_path: Path
) -> None:
    """Under load, and while sequencer and signer are killed: covered, by roots that are computed
    anew from the stored headers."""
    settings = settings_on(servers, tmp_path, patient_ms=10_000)
    settings = settings.model_copy(
        update={"postgres": settings.postgres.model_copy(update={"url": fresh_postgres_url})}
    )
    followed = await follow(settings, tmp_path / "log", 5, ["service.sequencer", "service.signer"])
    assert len(followed.answered) > 50
    assert followed.killed == ["service.sequencer", "service.signer"]
    assert followed.uncovered == 0, followed
    assert max(followed.waits) <= MOST_SECONDS, followed
