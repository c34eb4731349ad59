"""Which key files are there, and which KEK does each hold?

The key file itself (`kek.key`), and beside it one file for each other KEK, named with the KEK's id
(`kek.key.0123456789abcdef`): the next one while a rotation is under way, and retired ones that
older backups and spools still need. Invariant: the key file is never missing and never half
written, whenever a rotation is cut short.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

from service.keys.kms import Kms
from service.keys.provider import File, KekProvider, provider_of
from service.keys.secret_file import read_secret, sync_directory, write_secret
from service.keys.transit import Transit
from service.ledger.errors import KeyFileError
from service.ledger.keys import FileKek
from service.settings import Settings

log = logging.getLogger(__name__)

_ID = re.compile(r"\.[0-9a-f]{16}")


class KekSlots:
    """The key files of one installation on this machine."""

    def __init__(self, settings: Settings) -> None:
        self.path = settings.kek_path
        self._settings = settings
        # Secrets of containers are mounted read-only: what comes later lies under VAR/keys then.
        self._beside = settings.var / "keys"

    def others(self) -> Iterator[Path]:
        """Yield the files beside the key file."""
        for directory in dict.fromkeys((self.path.parent, self._beside)):
            if directory.is_dir():
                for path in sorted(directory.glob(f"{self.path.name}.*")):
                    if _ID.fullmatch(path.name.removeprefix(self.path.name)):
                        yield path

    def open(self, path: Path) -> FileKek:
        """Return the KEK of a key file. Raises `KeyFileError`, `KeyServiceError`."""
        return FileKek(self.unpacked(path))

    def unpacked(self, path: Path) -> bytes:
        """Return the KEK of a key file as bytes. Raises as `open`."""
        content = read_secret(path)
        try:
            return self._provider(provider_of(content)).unpack(content)
        except KeyFileError as error:
            raise KeyFileError(f"{path} {error}") from None

    def check(self) -> None:
        """Check the key file as far as that needs no key service. Raises `KeyFileError`."""
        content = read_secret(self.path)
        try:
            provider_of(content)
        except KeyFileError as error:
            raise KeyFileError(f"{self.path} {error}") from None

    def is_in_clear(self) -> bool:
        """Whether the key file holds the KEK although a key service is set."""
        wanted = self._settings.keys.provider
        return wanted != File.name and provider_of(read_secret(self.path)) == File.name

    def packed(self, kek: bytes) -> bytes:
        """Return the content of a key file for a KEK, with the provider that is set."""
        return self._provider(self._settings.keys.provider).pack(kek)

    def add(self, kek: bytes) -> Path:
        """Write a file for another KEK and return its path. Raises as `packed`, `KeyFileError`."""
        name = f"{self.path.name}.{FileKek(kek).kek_id.hex()}"
        directory = self.path.parent if os.access(self.path.parent, os.W_OK) else self._beside
        path = directory / name
        write_secret(path, self.packed(kek))
        return path

    def promote(self, old: bytes, now: bytes) -> bool:
        """Make the file of the KEK `now` the key file, and keep that of `old` under its id.

        Returns False when the key file cannot be replaced, which harms nothing: all are read.
        """
        kept, fresh = (
            self.path.with_name(f"{self.path.name}.{kek_id.hex()}") for kek_id in (old, now)
        )
        if not fresh.exists():
            return False
        try:
            # Other processes on this machine do the same: whoever comes second finds it done.
            if not kept.exists():
                write_secret(kept, read_secret(self.path))
            with contextlib.suppress(FileNotFoundError):
                fresh.replace(self.path)
            sync_directory(self.path.parent)
        except (OSError, KeyFileError) as error:
            log.warning("%s stays as it is: %s", self.path, error)
            return False
        return True

    def _provider(self, name: str) -> KekProvider:
        if name == File.name:
            return File()
        if name == Transit.name:
            return Transit(self._settings.transit)
        if name == Kms.name:
            return Kms(self._settings.kms)
        raise KeyFileError(f"was made by the key provider {name!r}, which is not known here")
