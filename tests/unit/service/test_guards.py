"""Which secrets are none."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.guards import PlaceholderSecret, check_secrets
from service.settings import Settings

RANDOM = [hashlib.sha256(bytes([number])).digest() for number in range(3)]


def settings_with(base: Path, kek: bytes, tag: bytes, signer: bytes = RANDOM[2]) -> Settings:
    """Settings of a data directory that holds these keys."""
    settings = Settings(var=base)
    for path, key in (
        (settings.kek_path, kek), (settings.tag_key_path, tag),
        (settings.signer_dir / "0123abcd.key", signer),
    ):  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(key)
    return settings


@given(st.binary(min_size=32, max_size=32).filter(lambda key: len(set(key)) > 20))
def test_random_keys_pass(tmp_path_factory: pytest.TempPathFactory, key: bytes) -> None:
    """What random bytes look like is taken, and hex and base64 of random bytes, too."""
    check_secrets(settings_with(tmp_path_factory.mktemp("var"), key, RANDOM[1]))


@pytest.mark.parametrize(
    "key", [RANDOM[0], RANDOM[0].hex()[:32].encode(), b"q7Vd0sJ1mYx9Zk2TfLbW5uQhRnC8gEoA"]
)
def test_keys_of_other_spellings_pass(tmp_path: Path, key: bytes) -> None:
    """Hex and base64 of random bytes are weaker than they look and no placeholders."""
    check_secrets(settings_with(tmp_path, key, RANDOM[1]))


def test_many_random_keys_pass(tmp_path: Path) -> None:
    """No key that was made as the README says is refused."""
    for _ in range(200):
        check_secrets(settings_with(tmp_path, os.urandom(32), os.urandom(32), os.urandom(32)))


@pytest.mark.parametrize(
    "key",
    [
        bytes(32), b"\xff" * 32, b"k" * 32, b"ab" * 16, b"abcdefgh" * 4, bytes(range(32)),
        bytes(range(255, 223, -1)), b"changeme-changeme-changeme-chang", b"",
        b"this is the key of our touchstone", b"CHANGE_ME_PLEASE_9472jdhwus82kd0",
        b"my-secret-key-for-the-ledger-1234", b"password123password123password12",
        bytes(31) + b"\x01", b"\x01\x02" + bytes(30), bytes([1, 2, 3, 4] * 4 + [9, 8, 7, 6] * 4),
    ],
)  # fmt: skip
@pytest.mark.parametrize("place", ["kek", "tag", "signer"])
def test_placeholders_are_refused(tmp_path: Path, key: bytes, place: str) -> None:
    """Zeros, repeats, counts, words: the error names the file and nothing of what is in it."""
    settings = settings_with(tmp_path, **{"kek": RANDOM[0], "tag": RANDOM[1], place: key})
    with pytest.raises(PlaceholderSecret, match="placeholder") as caught:
        check_secrets(settings)
    if key:
        assert key.decode("latin-1") not in str(caught.value)
        assert key.hex() not in str(caught.value)


@pytest.mark.parametrize("twice", ["tag", "signer"])
def test_one_key_for_two_purposes_is_refused(tmp_path: Path, twice: str) -> None:
    """Each key needs bytes of its own."""
    keys = {"kek": RANDOM[0], "tag": RANDOM[1], twice: RANDOM[0]}
    with pytest.raises(PlaceholderSecret, match="the same key"):
        check_secrets(settings_with(tmp_path, **keys))
