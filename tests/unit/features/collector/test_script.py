"""The built script is the one that was reviewed, asks nobody, and says whose work is in it."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import features.collector
from features.collector.script import collector_script

FOLDER = Path(features.collector.__path__[0])
README = (FOLDER / "README.md").read_text(encoding="utf-8")
SCRIPT = (FOLDER / "collector.js").read_text(encoding="ascii")


def test_the_built_script_is_the_one_the_readme_names() -> None:
    """Hash, integrity, version and size in the README are those of the file."""
    file = collector_script()
    assert hashlib.sha256(file.content).hexdigest() in README
    assert file.integrity in README
    assert f"/v1/collector.js?v={file.version}" in README
    assert f"{len(file.content):,} bytes" in README
    assert round(len(file.gzipped) / 1000) == 13  # one library packs better than the other
    assert "13 kB with gzip" in README


def test_the_script_asks_nobody_but_for_its_token() -> None:
    """No address is in it, and one way to send: the fetch of the token."""
    assert re.findall(r"https?:|wss?:|//[\w-]+\.\w", SCRIPT) == []
    ways = r"\bfetch\(|XMLHttpRequest|sendBeacon|WebSocket|EventSource|importScripts|new Image"
    assert re.findall(ways, SCRIPT) == ["fetch("]


def test_the_script_runs_under_a_strict_policy() -> None:
    """It makes no code from text, and writes no markup."""
    made = r"\beval\(|new Function|Function\(|document\.write|innerHTML\s*=|\bimport\("
    assert re.findall(made, SCRIPT) == []


def test_the_script_keeps_nothing() -> None:
    """It touches no cookie and no storage."""
    assert re.findall(r"\.cookie|localStorage|sessionStorage|indexedDB|caches\b", SCRIPT) == []


def test_every_part_has_its_licence() -> None:
    """What is built in, and nothing else, is named with its version and permissive licence."""
    lock = json.loads((FOLDER / "browser" / "package-lock.json").read_text(encoding="utf-8"))
    licences = (FOLDER / "LICENSES.txt").read_text(encoding="utf-8")
    parts = {
        path.removeprefix("node_modules/"): package
        for path, package in lock["packages"].items()
        if path and not package.get("dev")
    }
    named = re.findall(r"^(\S+) (\S+) \((\S+)\)$", licences, re.MULTILINE)
    assert {name: version for name, version, _ in named} == {
        name: package["version"] for name, package in parts.items()
    }
    assert {licence for _, _, licence in named} == {"MIT"}
    assert licences.count("Permission is hereby granted, free of charge") == len(parts) == 3
    assert "LICENSES.txt" in SCRIPT[:200]
    for path, package in lock["packages"].items():
        assert not path or package["integrity"].startswith("sha512-")
        assert "resolved" not in package
