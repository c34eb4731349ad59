"""May this process begin to record?

Asked by `touchstone serve` before anything runs, and by every writer when it connects. Invariant:
nothing is recorded with a secret that anybody could guess, or onto a database that is known to
lack what was recorded before. (That it keeps what it commits is checked by `ledger/strict.py`, that
the key-encryption key is there by `keys/`.)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from service.ledger.errors import LedgerError
from service.settings import Settings
from service.signer.agreement import check_directory
from service.signer.state import SignerFiles

# Of 32 random bytes, fewer than 16 different ones come up once in 10^13 keys.
LEAST_DIFFERENT = 16
# Words of examples and of people who meant to come back to it.
WORDS = (
    "changeme", "change-me", "change_me", "secret", "password", "passwd", "example", "placeholder",
    "default", "insecure", "dummy", "sample", "testkey", "test-key", "test_key", "touchstone",
    "replace", "qwerty", "letmein", "0123456789", "1234567890", "abcdefgh",
)  # fmt: skip


class PlaceholderSecret(LedgerError):
    """A secret that anybody could guess, or one that serves two purposes."""

    code = "placeholder_secret"


def check_secrets(settings: Settings) -> None:
    """Raise `PlaceholderSecret` when a key file holds no random key, or two hold the same.

    Files that are not there are somebody else's matter.
    """
    seen: dict[bytes, Path] = {}
    signing = sorted(settings.signer_dir.glob("*.key"))
    for path in (settings.kek_path, settings.tag_key_path, *signing):
        try:
            secret = path.read_bytes()
        except OSError:
            continue
        if why := _why_guessable(secret):
            raise PlaceholderSecret(
                f"{path} holds a placeholder, not a key ({why}): make one with "
                f"`head -c 32 /dev/urandom > FILE`"
            )
        if secret in seen:
            raise PlaceholderSecret(
                f"{path} and {seen[secret]} hold the same key: each needs one of its own"
            )
        seen[secret] = path


async def check_record(settings: Settings, connection: Any) -> None:
    """Raise `SignerRefuses` when the database is not the one that was signed.

    The signer's memory is on one machine; others have nothing to compare with.
    """
    files = SignerFiles(settings.signer_dir)
    await check_directory(connection, files, signs_here=settings.ledger.sign)


def writer_check(settings: Settings) -> Callable[[Any], Awaitable[None]]:
    """Return what a writer asks about each of its connections before it writes."""

    async def check(connection: Any) -> None:
        await check_record(settings, connection)

    return check


def _why_guessable(secret: bytes) -> str | None:
    """Return what is wrong with a secret, `None` when it may be random.

    >>> _why_guessable(bytes(32)), _why_guessable(b"please-changeme-before-going-live")
    ('it repeats itself', 'it is text')
    """
    if not secret:
        return "it is empty"
    length = len(secret)
    if any(secret == (secret[:period] * length)[:length] for period in range(1, length // 2 + 1)):
        return "it repeats itself"
    steps = {(after - before) % 256 for before, after in pairwise(secret)}
    if len(steps) == 1:
        return "it counts"
    text = secret.decode("ascii", "replace").strip()
    if text.isascii() and text.isprintable():
        lower = text.lower()
        if " " in text or any(word in lower for word in WORDS):
            return "it is text"
    elif len(set(secret)) < min(LEAST_DIFFERENT, length // 2):
        return "it is not random"
    return None
