"""A key service that answers what no key service answers: one clear error, never a crash."""

from __future__ import annotations

import os
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from service.keys.errors import KeyServiceError
from service.keys.kms import Kms
from service.keys.provider import KekProvider, Wrapped
from service.keys.transit import Transit
from service.ledger.errors import KeyFileError
from service.ledger.keys import FileKek
from service.setting_groups import KmsSettings, TransitSettings
from tests.contracts.key_services import AWS
from tests.running import KEK
from tests.served import HOST

TOKEN = "rubbish-test-token"
ANSWERS = [
    (200, b""),
    (200, b"<html>sign in</html>"),
    (200, b"\xff\xfe"),
    (200, b"[]"),
    (200, b"{}"),
    (200, b'{"data": null}'),
    (200, b'{"data": {"plaintext": null, "ciphertext": null}}'),
    (200, b'{"data": {"plaintext": 5, "ciphertext": 5}}'),
    (200, '{"data": {"plaintext": "é"}}'.encode()),
    (200, b'{"data": {"plaintext": "AAAA"}}'),
    (200, b'{"Plaintext": 5, "CiphertextBlob": 5}'),
    (200, b'{"CiphertextBlob": "AAAA"}'),
    (200, '{"Plaintext": "é", "CiphertextBlob": "é"}'.encode()),
    (200, b'{"Plaintext": "AAAA"}'),
    (302, b""),
    (400, b"[]"),
    (404, b"<html>"),
    (500, b"<html>"),
]


class _Rubbish(BaseHTTPRequestHandler):
    """Answers everything with what its server says."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, body = self.server.answer  # type: ignore[attr-defined]
        self.send_response(status)
        self.send_header("Location", f"http://{HOST}:1/")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    """A server that is no key service."""
    found = ThreadingHTTPServer((HOST, 0), _Rubbish)
    Thread(target=found.serve_forever, daemon=True).start()
    yield found
    found.shutdown()
    found.server_close()


@pytest.fixture(params=["transit", "kms"])
def provider(
    request: pytest.FixtureRequest, server: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> KekProvider:
    """A provider that takes it for its service."""
    url = f"http://{HOST}:{server.server_port}"
    if request.param == "transit":
        monkeypatch.setenv("BAO_TOKEN", TOKEN)
        return Transit(TransitSettings(url=url))
    pytest.importorskip("botocore", reason="the extra kms is not installed")
    for name, value in AWS.items():
        monkeypatch.setenv(name, value)
    return Kms(KmsSettings(url=url, region="eu-central-1", key="alias/any"))


@pytest.mark.parametrize(("status", "body"), ANSWERS)
def test_rubbish_is_an_error_that_names_the_service(
    provider: KekProvider, server: ThreadingHTTPServer, status: int, body: bytes
) -> None:
    """Wrapping never succeeds, unwrapping gives no key, and neither shows a secret."""
    server.answer = status, body  # type: ignore[attr-defined]
    content = Wrapped(provider.name, "transit/k", "AAAA", FileKek(KEK).kek_id.hex()).to_bytes()
    kek = os.urandom(32)
    with pytest.raises(KeyServiceError, match=HOST) as packing:
        provider.pack(kek)
    with pytest.raises((KeyServiceError, KeyFileError)) as unpacking:
        provider.unpack(content)
    for text in (str(packing.value), str(unpacking.value)):
        assert kek.hex() not in text
        assert not any(secret in text for secret in (TOKEN, *AWS.values()) if secret != "true")
