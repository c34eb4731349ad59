"""Where the key-encryption key comes from: one suite for the file, OpenBao and AWS KMS."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.keys import open_wrapper
from service.keys.errors import KeyServiceError, KeyServiceForbidden, KeyServiceUnreachable
from service.keys.provider import kek_id_in, provider_of
from service.keys.slots import KekSlots
from service.ledger.errors import KeyFileError, WrongKek
from service.secrets_files import ensure_keys
from tests.contracts.key_services import AWS, REVOKED, TOKEN, KeyService, started
from tests.served import HOST, free_port

KEY = bytes(range(32))
SECRETS = (TOKEN, REVOKED, *AWS.values())


@pytest.fixture(scope="module", params=["file", "transit", "kms"])
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KeyService]:
    """One server for the suite."""
    service = started(request.param, tmp_path_factory.mktemp(request.param))
    yield service
    service.close()


@pytest.fixture
def keeper(running: KeyService, monkeypatch: pytest.MonkeyPatch) -> KeyService:
    """Where a key can be kept, with the credentials that it needs in the environment."""
    for name, value in AWS.items():
        monkeypatch.setenv(name, value)
    return running


@pytest.fixture
def remote(keeper: KeyService) -> KeyService:
    """A key service."""
    return keeper


of_services = pytest.mark.parametrize("running", ["transit", "kms"], indirect=True)


def test_one_process_opens_what_another_wrapped(keeper: KeyService, tmp_path: Path) -> None:
    """The first start makes a key; whoever opens the same file wraps and unwraps with it."""
    settings = keeper.settings(tmp_path)
    ensure_keys(settings)
    before = settings.kek_path.read_bytes()
    wrapped = open_wrapper(settings).wrap("core/2026-11/x", KEY)
    ensure_keys(settings)
    assert settings.kek_path.read_bytes() == before
    assert open_wrapper(settings).unwrap("core/2026-11/x", wrapped) == KEY
    assert provider_of(before) == keeper.name
    assert kek_id_in(before) == open_wrapper(settings).kek_id
    assert settings.kek_path.stat().st_mode & 0o777 == 0o600


def test_keys_are_wrapped_without_the_service(keeper: KeyService, tmp_path: Path) -> None:
    """Once open, no service is asked: 1,000 keys go round while it is locked."""
    settings = keeper.settings(tmp_path)
    ensure_keys(settings)
    wrapper = open_wrapper(settings)
    with keeper.locked(settings.kek_path):
        for number in range(1000):
            name, key = f"subject/{number}", os.urandom(32)
            assert wrapper.unwrap(name, wrapper.wrap(name, key)) == key


def test_no_start_while_the_key_is_locked(keeper: KeyService, tmp_path: Path) -> None:
    """A sealed vault, a disabled key, a file that is away: the error says which, then it works."""
    settings = keeper.settings(tmp_path)
    ensure_keys(settings)
    with keeper.locked(settings.kek_path), pytest.raises(keeper.locked_error) as caught:
        open_wrapper(settings)
    _is_clear(str(caught.value), settings.kek_path.read_bytes())
    open_wrapper(settings)


def test_no_start_without_the_right(keeper: KeyService, tmp_path: Path) -> None:
    """A bad token, unknown credentials, a file for all to read: the error shows no secret."""
    settings = keeper.settings(tmp_path)
    ensure_keys(settings)
    with keeper.refusing(settings.kek_path), pytest.raises(keeper.refused_error) as caught:
        open_wrapper(settings)
    _is_clear(str(caught.value), settings.kek_path.read_bytes())
    open_wrapper(settings)


def test_a_damaged_file_is_refused(keeper: KeyService, tmp_path: Path) -> None:
    """Cut at any of 20 places, or with one byte more: an error that names the file."""
    settings = keeper.settings(tmp_path)
    ensure_keys(settings)
    whole = settings.kek_path.read_bytes()
    ends = sorted({len(whole) * part // 20 for part in range(20)})
    for content in [*(whole[:end] for end in ends), whole + b"x"]:
        if len(content) == 32 and keeper.name != "file":
            continue
        settings.kek_path.write_bytes(content)
        with pytest.raises(KeyFileError, match=r"kek\.key"):
            open_wrapper(settings)


def test_another_key_opens_nothing(keeper: KeyService, tmp_path: Path) -> None:
    """A key of the same keeper that was made later is another key."""
    settings, others = keeper.settings(tmp_path / "a"), keeper.settings(tmp_path / "b")
    ensure_keys(settings)
    ensure_keys(others)
    with pytest.raises(WrongKek):
        open_wrapper(others).unwrap("a", open_wrapper(settings).wrap("a", KEY))


@of_services
def test_the_file_does_not_hold_the_key(remote: KeyService, tmp_path: Path) -> None:
    """Neither the file nor anything that shows the object gives the key away."""
    settings = remote.settings(tmp_path)
    ensure_keys(settings)
    kek = KekSlots(settings).unpacked(settings.kek_path)
    content = settings.kek_path.read_bytes()
    assert len(kek) == 32
    for form in (kek, kek.hex().encode(), base64.b64encode(kek), base64.urlsafe_b64encode(kek)):
        assert form not in content
        assert form.decode("latin-1") not in repr(open_wrapper(settings))


@of_services
def test_a_changed_document_is_refused(remote: KeyService, tmp_path: Path) -> None:
    """What the service wrapped, changed in any field or put in the place of another."""
    settings, others = remote.settings(tmp_path / "a"), remote.settings(tmp_path / "b")
    ensure_keys(settings)
    ensure_keys(others)
    document, other = (json.loads(each.kek_path.read_bytes()) for each in (settings, others))
    middle = len(document["wrapped"]) // 2
    flipped = "A" if document["wrapped"][middle] != "A" else "B"
    for changed in (
        {"wrapped": other["wrapped"]},
        {"wrapped": document["wrapped"][:middle] + flipped + document["wrapped"][middle + 1 :]},
        {"wrapped": "no base64, and no ciphertext"},
        {"kek_id": other["kek_id"]},
        {"provider": "another"},
        {"format": "touchstone kek 2"},
        {"key": 7},
        {"more": "fields"},
    ):
        settings.kek_path.write_text(json.dumps(document | changed))
        with pytest.raises(KeyFileError, match=r"kek\.key"):
            open_wrapper(settings)
    settings.kek_path.write_text(json.dumps(document | {"key": "transit/none"}))
    with pytest.raises((KeyServiceError, KeyFileError)):
        open_wrapper(settings)


@of_services
def test_a_service_out_of_reach(remote: KeyService, tmp_path: Path) -> None:
    """Nothing listens: an error within seconds, and no key is made at a first start."""
    settings = remote.settings(tmp_path)
    away = f"http://{HOST}:{free_port()}"
    group = getattr(settings, remote.name).model_copy(update={"url": away})
    gone = settings.model_copy(update={remote.name: group})
    with pytest.raises(KeyServiceUnreachable, match=HOST):
        ensure_keys(gone)
    assert not settings.kek_path.exists()
    ensure_keys(settings)
    with pytest.raises(KeyServiceUnreachable, match=HOST):
        open_wrapper(gone)


@of_services
def test_no_credentials_at_all(
    remote: KeyService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says where they were looked for."""
    settings = remote.settings(tmp_path)
    ensure_keys(settings)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "BAO_TOKEN", "VAULT_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    transit = settings.transit.model_copy(update={"token_file": None})
    with pytest.raises(KeyServiceForbidden, match=r"BAO_TOKEN|credentials"):
        open_wrapper(settings.model_copy(update={"transit": transit}))


@of_services
def test_a_file_in_clear_is_said(
    remote: KeyService, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With a service set and a key in clear on disk, the start works and warns."""
    settings = remote.settings(tmp_path)
    settings.kek_path.parent.mkdir(parents=True)
    settings.kek_path.touch(mode=0o600)
    settings.kek_path.write_bytes(os.urandom(32))
    open_wrapper(settings)
    assert "in clear" in caplog.text


def _is_clear(text: str, content: bytes) -> None:
    assert not any(secret in text for secret in SECRETS)
    assert content.decode("latin-1") not in text
    assert len(text) > 20
