"""Who holds the key-encryption key? The one door: `open_wrapper`."""

from __future__ import annotations

from service.ledger.keys import FileKek, KeyWrapper
from service.secrets_files import read_keys
from service.settings import Settings

__all__ = ["open_wrapper"]


def open_wrapper(settings: Settings) -> KeyWrapper:
    """Return what wraps and unwraps the keys of the ledger, ready for the hot path.

    Raises `KeyFileError`.
    """
    return FileKek(read_keys(settings).kek)
