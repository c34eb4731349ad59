"""Importing Feast changes nothing that is not Feast's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

CHILD = """
import json, os, sys, tempfile
from pathlib import Path
from service.metrics import Metrics
metrics = Metrics()
metrics.learned("login")
before = dict(os.environ)
from service.feast_import import import_feast
import_feast()
import features.profiles.feast_store
json.dump({
    "same": dict(os.environ) == before,
    "shown": metrics.render().decode(),
    "left": [path.name for path in Path(tempfile.gettempdir()).glob("feast*")],
}, sys.stdout)
"""


@pytest.mark.parametrize("workers", ["one", "several"])
def test_importing_feast_leaves_environment_and_metrics_alone(tmp_path: Path, workers: str) -> None:
    """Our metrics are still there, and alone, with one worker and with several."""
    shared = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)} if workers == "several" else {}
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        cwd=REPOSITORY,
        env={**os.environ, "TMPDIR": str(tmp_path), **shared},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found = json.loads(done.stdout)
    assert found["same"]
    assert 'touchstone_events_total{type="login"} 1.0' in found["shown"]
    assert "feast" not in found["shown"]
    assert found["left"] == []
