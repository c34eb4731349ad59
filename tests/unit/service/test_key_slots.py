"""Files of key-encryption keys: which are opened, and how one takes the place of another."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from service.keys import HeldKeks, open_wrapper
from service.keys.secret_file import write_secret
from service.ledger.errors import KeyFileError, WrongKek
from service.ledger.keys import FileKek
from service.settings import Settings

NAME = "subject/1"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = Settings(var=tmp_path)
    write_secret(made.kek_path, os.urandom(32))
    return made


def moved(settings: Settings) -> tuple[HeldKeks, FileKek]:
    """Return what a process holds that wraps with a second key, and the first key."""
    held = open_wrapper(settings)
    first = FileKek(settings.kek_path.read_bytes())
    _, kek_id = held.add()
    held.use(kek_id)
    return held, first


def test_the_next_key_takes_the_place_of_the_key_file(settings: Settings) -> None:
    """The key file holds the next key, the one before stays under its id, and both are used."""
    held, first = moved(settings)
    wrapped = first.wrap(NAME, bytes(32)), held.wrap(NAME, bytes(32))
    assert held.promote()
    kept = settings.kek_path.with_name(f"kek.key.{first.kek_id.hex()}")
    assert FileKek(kept.read_bytes()).kek_id == first.kek_id
    assert FileKek(settings.kek_path.read_bytes()).kek_id == held.kek_id
    assert sorted(settings.kek_path.parent.iterdir()) == [settings.kek_path, kept]
    later = open_wrapper(settings)
    assert later.kek_id == held.kek_id
    assert [later.unwrap(NAME, each) for each in wrapped] == [bytes(32)] * 2


def test_a_promotion_that_was_cut_short(settings: Settings) -> None:
    """Between its two steps the key file is there, and another process finishes it."""
    held, first = moved(settings)
    os.link(settings.kek_path, settings.kek_path.with_name(f"kek.key.{first.kek_id.hex()}"))
    later = open_wrapper(settings)
    later.use(held.kek_id)
    assert later.promote()
    assert held.promote()
    assert open_wrapper(settings).kek_id == held.kek_id


def test_a_key_file_that_cannot_be_replaced(settings: Settings) -> None:
    """A secret mounted elsewhere: the next key lies under VAR/keys, and both are opened."""
    elsewhere = settings.var / "run" / "secrets" / "kek.key"
    write_secret(elsewhere, settings.kek_path.read_bytes())
    settings.kek_path.unlink()
    mounted = settings.model_copy(
        update={"keys": settings.keys.model_copy(update={"kek_file": elsewhere})}
    )
    second = os.urandom(32)
    kek_id = FileKek(second).kek_id
    write_secret(settings.var / "keys" / f"kek.key.{kek_id.hex()}", second)
    held = open_wrapper(mounted)
    held.use(kek_id)
    assert not held.promote()
    later = open_wrapper(mounted)
    assert later.holds(kek_id)
    assert later.unwrap(NAME, held.wrap(NAME, bytes(32))) == bytes(32)


def test_a_retired_file_that_does_not_open(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """It is left out and said; the start works."""
    write_secret(settings.kek_path.with_name("kek.key.0123456789abcdef"), b"damaged")
    held = open_wrapper(settings)
    assert held.unwrap(NAME, held.wrap(NAME, bytes(32))) == bytes(32)
    assert "kek.key.0123456789abcdef has 7 bytes" in caplog.text


def test_a_key_that_is_not_held(settings: Settings) -> None:
    """Neither used nor opened; nothing changes what wraps."""
    held, other = open_wrapper(settings), FileKek(bytes(range(32)))
    assert not held.holds(other.kek_id)
    with pytest.raises(WrongKek, match=other.kek_id.hex()):
        held.use(other.kek_id)
    with pytest.raises(WrongKek, match=other.kek_id.hex()):
        held.unwrap(NAME, other.wrap(NAME, bytes(32)))
    assert held.kek_id == FileKek(settings.kek_path.read_bytes()).kek_id


def test_a_key_file_is_never_written_over(settings: Settings) -> None:
    """Whoever comes second fails, and the first key is still there."""
    before = settings.kek_path.read_bytes()
    with pytest.raises(KeyFileError, match="File exists"):
        write_secret(settings.kek_path, os.urandom(32))
    assert settings.kek_path.read_bytes() == before


def test_what_shows_a_wrapper_shows_no_key(settings: Settings) -> None:
    """Ids only."""
    key = settings.kek_path.read_bytes()
    shown = repr(open_wrapper(settings))
    assert FileKek(key).kek_id.hex() in shown
    assert key.hex() not in shown
    assert repr(key) not in shown


@pytest.mark.parametrize(
    "url",
    [
        "http://vault.example:8200",
        "vault.example",
        "https:///v1",
        "ftp://127.0.0.1",
        "https://u:p@v.example",
    ],
)
@pytest.mark.parametrize("group", ["transit", "kms"])
def test_a_key_crosses_no_wire_in_clear(group: str, url: str) -> None:
    """Plain HTTP goes to this machine only; the error repeats nothing of the setting."""
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({group: {"url": url}})
    assert url not in str(caught.value)
    for fine in ("https://vault.example:8200", "http://127.0.0.1:8200", "http://[::1]:8200"):
        Settings.model_validate({group: {"url": fine}})
