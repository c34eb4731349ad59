"""Where do the two secret keys come from?

From files: given by the operator, or generated under the data directory at the first start with
embedded servers. Invariant: a key is never generated for a ledger that exists already, because
what an older key sealed would be lost without anybody noticing.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from service.keys.secret_file import KEY_BYTES, read_key, write_secret
from service.keys.slots import KekSlots
from service.ledger.errors import KeyFileError
from service.settings import PREFIX, Settings

__all__ = ["SecretKeys", "ensure_keys", "read_key", "read_keys"]


@dataclass(frozen=True, slots=True)
class SecretKeys:
    """The key of the pseudonymous tags, and the key-encryption key as `open_wrapper` holds it."""

    tag: bytes = field(repr=False)
    slots: KekSlots = field(repr=False, compare=False)

    @property
    def kek(self) -> bytes:
        """The key-encryption key. Raises `KeyFileError`, `KeyServiceError`."""
        return self.slots.unpacked(self.slots.path)


def ensure_keys(settings: Settings) -> None:
    """Generate the keys of a data directory that has no ledger yet; otherwise check they are there.

    Raises `KeyFileError` when a key has to be given and is not, and `KeyServiceError`.
    """
    slots = KekSlots(settings)
    external = settings.postgres.url is not None
    has_ledger = (settings.var / "postgres" / "PG_VERSION").exists()
    given = {
        settings.kek_path: (settings.keys.kek_file, "KEYS__KEK_FILE"),
        settings.tag_key_path: (settings.keys.tag_key_file, "KEYS__TAG_KEY_FILE"),
    }
    for path, (explicit, name) in given.items():
        if path.exists():
            if path == slots.path:
                slots.check()
            else:
                read_key(path)
        elif explicit is not None:
            raise KeyFileError(f"{PREFIX}{name}: there is no file {path}")
        elif external:
            raise KeyFileError(
                f"with a PostgreSQL of your own, set {PREFIX}{name} to a key file, the same on "
                f"every machine: `touchstone keys new-file FILE` makes one"
                if path == slots.path
                else f"with a PostgreSQL of your own, set {PREFIX}{name} to a file of {KEY_BYTES} "
                f"random bytes (head -c {KEY_BYTES} /dev/urandom > FILE), the same on every machine"
            )
        elif has_ledger:
            raise KeyFileError(
                f"{path} is missing, and the ledger beside it cannot be read without it: "
                "put it back from your backup"
            )
    if not slots.path.exists():
        write_secret(slots.path, slots.packed(secrets.token_bytes(KEY_BYTES)))
    if not settings.tag_key_path.exists():
        write_secret(settings.tag_key_path, secrets.token_bytes(KEY_BYTES))


def read_keys(settings: Settings) -> SecretKeys:
    """Return both keys. Raises `KeyFileError`."""
    return SecretKeys(tag=read_key(settings.tag_key_path), slots=KekSlots(settings))
