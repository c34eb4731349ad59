"""The copy of what ran here last: whole and unchanged, or not used."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from service.live.cache import DeployedCache
from service.live.wanted import Wanted
from tests.deploying import pack_of, set_of

LIVE, SHADOW = set_of(pack_of("mark-0")), set_of(pack_of("mark-1"))
SETS = {files.version: files for files in (LIVE, SHADOW)}
WANTED = Wanted(7, LIVE.version, shadows=(SHADOW.version,), stopped=frozenset({"mark-0"}))


def test_what_ran_comes_back(tmp_path: Path) -> None:
    """The copy holds what ran, its files to the letter."""
    cache = DeployedCache(tmp_path)
    assert cache.read() is None
    cache.write(WANTED, SETS)
    assert cache.read() == (WANTED, SETS)
    assert [path.name for path in (tmp_path / "rules").iterdir()] == ["deployed.json"]


@pytest.mark.parametrize("fault", ["text", "short", "missing set", "format", "no JSON", "key"])
def test_a_damaged_copy_is_not_used(tmp_path: Path, fault: str) -> None:
    """A copy that was changed, cut or belongs to another release gives nothing."""
    cache, path = DeployedCache(tmp_path), tmp_path / "rules" / "deployed.json"
    cache.write(WANTED, SETS)
    content = orjson.loads(path.read_bytes())
    if fault == "text":
        content["sets"][LIVE.version]["packs/tests.yaml"] += "# more"
    elif fault == "missing set":
        del content["sets"][SHADOW.version]
    elif fault == "format":
        content["format"] = "touchstone-deployed/2"
    elif fault == "key":
        content["candidates"] = []
    path.write_bytes(orjson.dumps(content))
    if fault == "short":
        path.write_bytes(path.read_bytes()[:-20])
    elif fault == "no JSON":
        path.write_bytes(b"[]")
    assert cache.read() is None


def test_a_disk_that_takes_nothing_stops_nothing(tmp_path: Path) -> None:
    """Where the copy cannot be written, that is all that happens."""
    (tmp_path / "rules").write_text("a file, not a directory")
    cache = DeployedCache(tmp_path)
    cache.write(WANTED, SETS)
    assert cache.read() is None
