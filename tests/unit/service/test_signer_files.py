"""The signer's directory: a private key is nobody else's to read, and the one that it is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.signer.errors import SignerBroken
from service.signer.state import KeyLink, Retiring, SignerFiles, State


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o666])
def test_a_key_that_others_may_read_or_write_signs_nothing(tmp_path: Path, mode: int) -> None:
    """Until the mode is put right."""
    files = SignerFiles(tmp_path)
    key = files.new_key("test")
    files.private_key(key)
    files.key_path(key).chmod(mode)
    with pytest.raises(SignerBroken, match="chmod 600"):
        files.private_key(key)
    files.key_path(key).chmod(0o600)
    files.private_key(key)


def test_a_key_file_holds_the_key_that_it_is_called(tmp_path: Path) -> None:
    """Another key, or one that is cut or longer, does not sign in its name."""
    files = SignerFiles(tmp_path)
    key, other = files.new_key("test"), files.new_key("test")
    genuine = files.key_path(key).read_bytes()
    for content in (files.key_path(other).read_bytes(), genuine[:-1], genuine + b"\0", b""):
        files.key_path(key).write_bytes(content)
        with pytest.raises(SignerBroken, match="is not the key"):
            files.private_key(key)


def test_keys_that_sign_are_not_tidied_away(tmp_path: Path) -> None:
    """The present one and the one that retires stay; older ones and half-written files go."""
    files = SignerFiles(tmp_path)
    old, before, present = (files.new_key("test") for _ in range(3))
    state = State(
        "test", (KeyLink(str(present), None),), retiring=Retiring(str(before), 1_900_000_000)
    )
    files.save(state)
    (tmp_path / "state.json.new").write_bytes(b"{")
    gone = files.tidy(state)
    assert sorted(gone) == sorted([files.key_path(old), tmp_path / "state.json.new"])
    for key in (before, present):
        files.private_key(key)
    assert files.load() == state
