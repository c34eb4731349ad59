"""A `rediss://` connection encrypts, and trusts only whom it was told to trust."""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from features.velocity.connection import ValkeyConnection
from features.velocity.store import VelocityUnavailable

pytestmark = pytest.mark.asyncio


def _certificate(folder: Path) -> Path:
    """Write a key and a certificate for localhost, signed by itself, into one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


async def test_tls_is_spoken_and_the_peer_verified(tmp_path: Path) -> None:
    """With the peer's certificate as authority it answers; without, it counts as refused."""
    pem = _certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            writer.write(b"+PONG\r\n")
        writer.close()

    peer = await asyncio.start_server(serve, "localhost", 0, ssl=context)
    url = f"rediss://localhost:{peer.sockets[0].getsockname()[1]}"
    trusting = ValkeyConnection(f"{url}?ssl_ca_certs={pem}")
    await trusting.ping(1.0)
    await trusting.close()
    wary = ValkeyConnection(url)
    with pytest.raises(VelocityUnavailable, match="refused"):
        await wary.ping(1.0)
    await wary.close()
    peer.close()
    await asyncio.sleep(0.05)
