"""How does a trained model get to where the service looks for it?

Invariant: a bundle is on disk whole or not at all, and `current` always names a whole one, also
when the process is killed at any moment.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from service.bundle import CURRENT_FILE, MANIFEST_FILE, MODEL_FILE
from training.train import Trained


def write_bundle(var: Path, trained: Trained) -> Path:
    """Write `var/bundles/<first 16 hex digits of the version>/` and return it.

    The same bundle written twice is one directory.
    """
    bundles = var / "bundles"
    bundles.mkdir(parents=True, exist_ok=True)
    manifest = trained.manifest.to_bytes()
    directory = bundles / hashlib.sha256(manifest).hexdigest()[:16]
    if directory.is_dir():
        return directory
    scratch = Path(tempfile.mkdtemp(prefix=".writing-", dir=bundles))
    try:
        _write_durably(scratch / MODEL_FILE, trained.model_text.encode())
        _write_durably(scratch / MANIFEST_FILE, manifest)
        scratch.chmod(0o755)
        scratch.replace(directory)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    _sync_directory(bundles)
    return directory


def make_current(var: Path, directory: Path) -> None:
    """Let `var/bundles/current` name the bundle; a service takes it at its next start."""
    bundles = var / "bundles"
    scratch = bundles / f".{CURRENT_FILE}-{os.getpid()}"
    _write_durably(scratch, f"{directory.name}\n".encode())
    scratch.replace(bundles / CURRENT_FILE)
    _sync_directory(bundles)


def _write_durably(path: Path, data: bytes) -> None:
    with path.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
