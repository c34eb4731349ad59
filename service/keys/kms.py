"""A KEK that AWS KMS keeps: one symmetric key there wraps and unwraps it.

Credentials are found as the AWS SDK finds them (environment, files, the role of the machine or
pod), so nothing about them is a setting of ours. The SDK is the optional extra `kms`.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from service.keys.errors import (
    KeyServiceError,
    KeyServiceForbidden,
    KeyServiceSealed,
    KeyServiceUnreachable,
)
from service.keys.provider import Wrapped
from service.ledger.errors import KeyFileError
from service.ledger.keys import FileKek
from service.setting_groups import KmsSettings

CONNECT_SECONDS, ANSWER_SECONDS, ATTEMPTS = 3, 5, 2
SAID = 200  # characters of the service's own words that an error repeats
# Bound to what is wrapped, and shown in CloudTrail; no secret.
_CONTEXT = {"touchstone": "kek"}

_SEALED = {"DisabledException", "KMSInvalidStateException", "KeyUnavailableException"}
_FORBIDDEN = {
    "AccessDeniedException", "UnrecognizedClientException", "InvalidClientTokenId",
    "ExpiredTokenException", "InvalidSignatureException", "SignatureDoesNotMatch",
    "MissingAuthenticationTokenException", "IncompleteSignature",
}  # fmt: skip
_BROKEN = {"InvalidCiphertextException", "IncorrectKeyException"}
_AWAY = {"KMSInternalException", "DependencyTimeoutException", "ThrottlingException"}


class Kms:
    """The provider `kms`; see `KekProvider`."""

    name = "kms"

    def __init__(self, settings: KmsSettings) -> None:
        try:
            import botocore.config
            import botocore.exceptions
            import botocore.parsers
            import botocore.session
        except ModuleNotFoundError:
            raise KeyServiceError(
                "AWS KMS needs the package botocore: pip install 'touchstone[kms]'"
            ) from None
        self._settings = settings
        self._place = f"AWS KMS at {settings.url or settings.region or 'the default region'}"
        self._errors = botocore.exceptions
        self._parser_error: type[Exception] = botocore.parsers.ResponseParserError
        try:
            self._client: Any = botocore.session.get_session().create_client(
                "kms",
                region_name=settings.region,
                endpoint_url=settings.url,
                config=botocore.config.Config(
                    connect_timeout=CONNECT_SECONDS,
                    read_timeout=ANSWER_SECONDS,
                    retries={"total_max_attempts": ATTEMPTS},
                ),
            )
        except (self._errors.BotoCoreError, ValueError) as error:
            raise KeyServiceError(f"{self._place} cannot be used: {error}") from None

    def pack(self, kek: bytes) -> bytes:
        """Have the KEK wrapped; see `KekProvider.pack`."""
        key = self._settings.key
        if key is None:
            raise KeyServiceError("set TOUCHSTONE_KMS__KEY to the id, ARN or alias of a KMS key")
        answer = self._ask("encrypt", key, Plaintext=kek)
        ciphertext, arn = answer.get("CiphertextBlob"), answer.get("KeyId")
        if not isinstance(ciphertext, bytes) or not isinstance(arn, str):
            raise KeyServiceError(f"{self._place} answered without a ciphertext")
        wrapped = base64.b64encode(ciphertext).decode()
        # The ARN and not the alias, which may come to mean another key.
        return Wrapped(self.name, arn, wrapped, FileKek(kek).kek_id.hex()).to_bytes()

    def unpack(self, content: bytes) -> bytes:
        """Have the KEK unwrapped; see `KekProvider.unpack`."""
        held = Wrapped.from_bytes(content)
        try:
            wrapped = base64.b64decode(held.wrapped, validate=True)
        except (binascii.Error, ValueError):
            raise KeyFileError("holds a wrapped key that is no base64") from None
        kek = self._ask("decrypt", held.key, CiphertextBlob=wrapped).get("Plaintext")
        if not isinstance(kek, bytes):
            raise KeyServiceError(f"{self._place} answered without a plaintext")
        return held.checked(kek)

    def _ask(self, act: str, key: str, **words: Any) -> dict[str, Any]:
        call = self._client.encrypt if act == "encrypt" else self._client.decrypt
        try:
            return dict(call(KeyId=key, EncryptionContext=_CONTEXT, **words))
        except self._errors.ClientError as error:
            raise self._refused(error.response, act, key) from None
        except (self._errors.NoCredentialsError, self._errors.CredentialRetrievalError) as error:
            raise KeyServiceForbidden(f"there are no credentials for {self._place}: {error}") from (
                None
            )
        except (self._errors.ConnectionError, self._errors.HTTPClientError) as error:
            kind = type(error).__name__
            raise KeyServiceUnreachable(f"{self._place} cannot be reached: {kind}") from None
        except self._errors.BotoCoreError as error:
            raise KeyServiceError(f"{self._place} cannot be used: {error}") from None
        # What is no answer of KMS, a proxy's page, fails in the SDK in ways that have no name.
        except (self._parser_error, ValueError, TypeError, AttributeError, LookupError):
            raise KeyServiceError(f"{self._place} answered something else than KMS") from None

    def _refused(self, answer: Any, act: str, key: str) -> Exception:
        code = str(answer.get("Error", {}).get("Code"))
        said = " ".join(str(answer.get("Error", {}).get("Message")).split())[:SAID]
        what = f"({code}: {said})"
        status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if code in _FORBIDDEN or status in (401, 403):
            return KeyServiceForbidden(
                f"{self._place} refuses us: the role needs kms:Encrypt and kms:Decrypt "
                f"on {key} {what}"
            )
        if code in _SEALED:
            return KeyServiceSealed(f"{self._place} keeps {key} locked {what}")
        if code in _BROKEN:
            return KeyFileError(f"holds what {self._place} cannot unwrap with {key} {what}")
        if code in _AWAY:
            return KeyServiceUnreachable(f"{self._place} fails {what}")
        return KeyServiceError(f"{self._place} refused to {act} with {key} {what}")
