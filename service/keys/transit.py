"""A KEK that Vault or OpenBao keeps: the Transit secrets engine wraps and unwraps it.

Two requests of its HTTP API, `encrypt` and `decrypt`
(https://openbao.org/api-docs/secret/transit/). The token comes from a file or the environment,
goes into one header and nowhere else.
"""

from __future__ import annotations

import base64
import json
import os
import ssl
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any
from urllib.parse import quote, urlsplit

from service.keys.errors import (
    KeyServiceError,
    KeyServiceForbidden,
    KeyServiceSealed,
    KeyServiceUnreachable,
)
from service.keys.provider import Wrapped
from service.keys.secret_file import read_secret
from service.ledger.errors import KeyFileError
from service.ledger.keys import FileKek
from service.setting_groups import TransitSettings

ANSWER_SECONDS = 5.0
ANSWER_BYTES = 64 * 1024
TOKEN_VARIABLES = ("BAO_TOKEN", "VAULT_TOKEN")
SAID = 200  # characters of the service's own words that an error repeats


class Transit:
    """The provider `transit`; see `KekProvider`."""

    name = "transit"

    def __init__(self, settings: TransitSettings) -> None:
        if settings.url is None:
            raise KeyServiceError("set TOUCHSTONE_TRANSIT__URL to where Vault or OpenBao answers")
        self._settings = settings
        self._url = settings.url.rstrip("/")
        self._place = f"Transit at {self._url}"
        # Put together by hand: a redirect, which would carry the token elsewhere, is an error here.
        self._opener = urllib.request.OpenerDirector()
        if urlsplit(self._url).scheme == "https":
            try:
                context = ssl.create_default_context(cafile=settings.ca_file)
            except (OSError, ssl.SSLError):
                raise KeyServiceError(f"cannot read certificates of {settings.ca_file}") from None
            self._opener.add_handler(urllib.request.ProxyHandler())
            self._opener.add_handler(urllib.request.HTTPSHandler(context=context))
        else:  # this machine, see TransitSettings: no proxy may see it
            self._opener.add_handler(urllib.request.HTTPHandler())
        self._opener.add_handler(urllib.request.HTTPErrorProcessor())
        self._opener.add_handler(urllib.request.HTTPDefaultErrorHandler())

    def pack(self, kek: bytes) -> bytes:
        """Have the KEK wrapped; see `KekProvider.pack`."""
        key = f"{self._settings.mount}/{self._settings.key}"
        answer = self._ask("encrypt", key, {"plaintext": base64.b64encode(kek).decode()})
        wrapped = answer.get("ciphertext")
        if not isinstance(wrapped, str):
            raise KeyServiceError(f"{self._place} answered without a ciphertext")
        return Wrapped(self.name, key, wrapped, FileKek(kek).kek_id.hex()).to_bytes()

    def unpack(self, content: bytes) -> bytes:
        """Have the KEK unwrapped; see `KekProvider.unpack`."""
        held = Wrapped.from_bytes(content)
        answer = self._ask("decrypt", held.key, {"ciphertext": held.wrapped})
        plaintext = answer.get("plaintext")
        try:
            # An empty text gives no key, and is what is said of then.
            kek = base64.b64decode(plaintext if isinstance(plaintext, str) else "", validate=True)
        except ValueError:  # no base64, or not even ASCII
            kek = b""
        if not kek:
            raise KeyServiceError(f"{self._place} answered without a plaintext")
        return held.checked(kek)

    def _ask(self, act: str, key: str, words: dict[str, str]) -> dict[str, Any]:
        mount, _, name = key.rpartition("/")
        path = f"/v1/{quote(mount)}/{act}/{quote(name, safe='')}"
        headers = {"X-Vault-Token": self._token(), "Content-Type": "application/json"}
        if self._settings.namespace is not None:
            headers["X-Vault-Namespace"] = self._settings.namespace
        request = urllib.request.Request(  # noqa: S310 - https, or this machine
            self._url + path, json.dumps(words).encode(), headers, method="POST"
        )
        try:
            with self._opener.open(request, timeout=ANSWER_SECONDS) as response:
                return dict(json.loads(response.read(ANSWER_BYTES))["data"])
        except urllib.error.HTTPError as error:
            with error:
                raise self._refused(error.code, act, key, _said(error)) from None
        except (ValueError, KeyError, TypeError):
            raise KeyServiceError(f"{self._place} answered something else than Transit") from None
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise KeyServiceUnreachable(f"{self._place} cannot be reached: {reason}") from None

    def _refused(self, status: int, act: str, key: str, said: str) -> Exception:
        if status == 403:
            return KeyServiceForbidden(
                f"{self._place} refuses the token: it needs update on {act} of {key} ({said})"
            )
        if status == 503:
            return KeyServiceSealed(f"{self._place} is sealed, or has no active node ({said})")
        if act == "decrypt" and status == 400:
            return KeyFileError(f"holds what {self._place} cannot unwrap with {key} ({said})")
        if status >= 500:
            return KeyServiceUnreachable(f"{self._place} failed with {status} ({said})")
        return KeyServiceError(f"{self._place} answered {status} to {act} with {key} ({said})")

    def _token(self) -> str:
        file = self._settings.token_file
        if file is not None:
            token = read_secret(file).decode("ascii", "replace").strip()
        else:
            token = next((os.environ[name] for name in TOKEN_VARIABLES if os.environ.get(name)), "")
        if not token or not token.isascii() or not token.isprintable():
            source = file or " or ".join(TOKEN_VARIABLES)
            raise KeyServiceForbidden(f"there is no token for {self._place} in {source}")
        return token


def _said(error: urllib.error.HTTPError) -> str:
    """Return what the service gave as its reason, in a line."""
    try:
        reasons = json.loads(error.read(ANSWER_BYTES))["errors"]
        text = "; ".join(str(reason) for reason in reasons)
    except (ValueError, KeyError, TypeError, OSError):
        text = ""
    return " ".join(text.split())[:SAID] or "no reason given"
