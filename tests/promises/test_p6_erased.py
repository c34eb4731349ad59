"""P6: erasing a person makes their entries unreadable and unlinkable; the tree still verifies.

The long form is `make soak ARGS="erasure"`: 1,000 of 10,000 persons.
"""

from __future__ import annotations

from pathlib import Path

from service.embedded import EmbeddedServers
from tests.erasures import erase_and_look, make_persons
from tests.rights import desks_of
from tests.running import service_here, settings_on

PERSONS, ERASED = 240, 24


async def test_p6_nothing_of_erased_persons_is_readable_or_findable(tmp_path: Path) -> None:
    """Everywhere we look, nothing of 24 of 240 persons is left, and all else is as it was."""
    with EmbeddedServers.start(tmp_path / "servers") as servers:
        settings = settings_on(servers, tmp_path, patient_ms=10_000)
        async with service_here(settings) as here, desks_of(here) as desks:
            persons = await make_persons(here, PERSONS)
            erased = persons[:: PERSONS // ERASED]
            figures = await erase_and_look(here, desks, persons, erased, tmp_path / "signer")
    assert figures[:2] == (PERSONS, ERASED)
    assert figures.entries_erased >= ERASED
    assert figures[4:] == (0,) * 6, figures
