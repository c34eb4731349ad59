"""Key files: generated once, never for a ledger that exists, readable by their owner only."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.ledger.errors import KeyFileError
from service.secrets_files import ensure_keys, read_keys
from service.settings import Settings


def settings(var: Path, **groups: object) -> Settings:
    return Settings.model_validate({"var": var, **groups})


def test_keys_are_generated_once(tmp_path: Path) -> None:
    """The first start makes two keys that only the owner can read; later ones keep them."""
    ensure_keys(settings(tmp_path))
    first = read_keys(settings(tmp_path))
    ensure_keys(settings(tmp_path))
    assert read_keys(settings(tmp_path)) == first
    assert first.kek != first.tag
    assert {len(first.kek), len(first.tag)} == {32}
    assert (tmp_path / "keys" / "kek.key").stat().st_mode & 0o777 == 0o600


def test_a_lost_key_of_a_ledger_is_not_replaced(tmp_path: Path) -> None:
    """A new key would open nothing of the old ledger, so its loss is an error."""
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("18\n")
    with pytest.raises(KeyFileError, match="put it back from your backup"):
        ensure_keys(settings(tmp_path))
    assert not (tmp_path / "keys").exists()


def test_a_server_of_ones_own_needs_keys_of_ones_own(tmp_path: Path) -> None:
    """Keys generated on one machine would be missing on the next."""
    external = settings(tmp_path, postgres={"url": "postgresql://h/db"})
    with pytest.raises(KeyFileError, match="TOUCHSTONE_KEYS__KEK_FILE"):
        ensure_keys(external)


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 33])
def test_a_file_that_is_no_key_is_refused(tmp_path: Path, content: bytes) -> None:
    """The error names the file and not its content."""
    bad = tmp_path / "bad.key"
    bad.write_bytes(content)
    bad.chmod(0o600)
    with pytest.raises(KeyFileError, match=r"bad\.key has \d+ bytes"):
        ensure_keys(settings(tmp_path, keys={"kek_file": bad}))


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    """It is not secret any more."""
    bad = tmp_path / "open.key"
    bad.write_bytes(b"x" * 32)
    bad.chmod(0o644)
    with pytest.raises(KeyFileError, match="chmod 600"):
        ensure_keys(settings(tmp_path, keys={"tag_key_file": bad}))


def test_secrets_do_not_show(tmp_path: Path) -> None:
    """A log line with the keys object holds no key."""
    ensure_keys(settings(tmp_path))
    assert repr(read_keys(settings(tmp_path))) == "SecretKeys()"
