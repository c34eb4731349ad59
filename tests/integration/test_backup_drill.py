"""The restore drill, in short; `make soak ARGS="drill"` is the long one."""

from __future__ import annotations

from pathlib import Path

from tests.soak.drill import drill


async def test_restore_drill(tmp_path: Path) -> None:
    """A lost database comes back with every decision of the backup and nobody who was erased; what
    was signed after it is named, and refused; a backup of everything runs and decides."""
    found = await drill(tmp_path, rounds=1, events=40, persons=10)
    assert found.failures == []
    assert found.lost > 40
    assert len(found.erased) == 1
