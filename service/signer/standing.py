"""How does the record stand: placed, signed, witnessed, and if not, why not?

Invariant: it is called well only when every recorded entry of this database is covered by a
checkpoint of a signer that agrees with it.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Any, NamedTuple

from service.ledger.note import NoteInvalid, parse_vkey
from service.ledger.spooled import spools
from service.settings import Settings
from service.signer.agreement import check_directory
from service.signer.errors import SignerBroken, SignerRefuses
from service.signer.state import SignerFiles
from service.signer.words import Language, say

_FIGURES = """
SELECT coalesce((SELECT size FROM ledger_tree), 0) AS placed,
       (SELECT origin FROM ledger_tree) AS origin,
       (SELECT count(*) FROM ledger_queue) AS queued,
       (SELECT vkey FROM ledger_signer_key ORDER BY position DESC LIMIT 1) AS vkey,
       (SELECT code FROM ledger_signer) AS code,
       (SELECT problem FROM ledger_signer) AS problem,
       now() AS now
"""
_LAST = "SELECT id, size, signed_at FROM ledger_checkpoint ORDER BY id DESC LIMIT 1"
_SEEN = """
SELECT cosigned.witness, max(checkpoint.size) AS size
FROM ledger_cosignature cosigned JOIN ledger_checkpoint checkpoint
  ON checkpoint.id = cosigned.checkpoint_id
GROUP BY cosigned.witness
"""
# A checkpoint takes one to two seconds, and has ten.
LATE_SECONDS = 10
# What came a moment ago gets this long to be placed and signed.
PATIENCE_SECONDS = 4.0
LOOK_SECONDS = 0.25


class Refusal(NamedTuple):
    """Why nothing is signed: a code of `words.yaml`, and the details."""

    code: str
    detail: str


class Standing(NamedTuple):
    """The figures of one look. `spooled`: entries in spool files of this machine."""

    origin: str
    placed: int
    queued: int
    spooled: int
    signed: int | None
    signed_at: datetime | None
    now: datetime
    vkey: str | None
    witnesses: dict[str, int | None]
    refusal: Refusal | None
    signs_here: bool

    @property
    def unsigned(self) -> int:
        """Recorded entries that no checkpoint covers."""
        return self.queued + self.spooled + max(self.placed - (self.signed or 0), 0)

    @property
    def is_well(self) -> bool:
        """Whether nothing has waited for long and nothing contradicts."""
        if self.refusal is not None:
            return False
        if not self.unsigned:
            return True
        return (
            self.spooled == 0 and self.age_seconds is not None and self.age_seconds < LATE_SECONDS
        )

    @property
    def age_seconds(self) -> float | None:
        """How old the last checkpoint is."""
        return None if self.signed_at is None else (self.now - self.signed_at).total_seconds()

    def lines(self, language: Language) -> list[str]:
        """Return one line a fact, the verdict first."""
        verdict = "refused" if self.refusal else "well" if self.is_well else "behind"
        lines = [
            say(verdict, language, self.unsigned),
            "",
            say("log", language, self.origin),
            say("placed", language, self.placed),
            say("waiting", language, self.queued, self.spooled),
            self._signed(language),
            say("key", language, self.vkey) if self.vkey else say("no_key", language),
        ]
        for name, size in self.witnesses.items():
            seen = ("witness_none", name) if size is None else ("witness", name, size)
            lines.append(say(str(seen[0]), language, *seen[1:]))
        if not self.witnesses:
            lines.append(say("no_witness", language))
        if not self.signs_here:
            lines.append(say("elsewhere", language))
        if self.refusal is not None:
            lines += ["", say(self.refusal.code, language), self.refusal.detail]
        elif not self.is_well:
            lines += ["", say("what_to_do", language)]
        return lines

    def _signed(self, language: Language) -> str:
        if self.signed is None or self.signed_at is None:
            return say("unsigned", language)
        at = f"{self.signed_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
        return say("signed", language, self.signed, at, _ago(self.age_seconds or 0))


async def settled(connection: Any, settings: Settings) -> Standing:
    """Look until all is well or something has waited longer than sequencer and signer take."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        files = await spools(connection, settings.var / "spool")
        found = await standing(connection, settings, sum(file.waiting for file in files))
        if found.is_well or found.refusal is not None or time.monotonic() > deadline:
            return found
        await asyncio.sleep(LOOK_SECONDS)


async def standing(connection: Any, settings: Settings, spooled: int) -> Standing:
    """Look once, at database and signer's directory. `spooled`: entries in spool files."""
    figures = await connection.fetchrow(_FIGURES)
    last = await connection.fetchrow(_LAST)
    seen = {row["witness"]: row["size"] for row in await connection.fetch(_SEEN)}
    names = []
    for vkey in settings.ledger.witnesses:
        try:
            names.append(parse_vkey(vkey).name)
        except NoteInvalid:
            continue
    refusal = await disagreement(connection, settings)
    if refusal is None and figures["problem"] is not None:
        refusal = Refusal(figures["code"], figures["problem"])
    return Standing(
        origin=figures["origin"] or settings.ledger.log_name,
        placed=figures["placed"],
        queued=figures["queued"],
        spooled=spooled,
        signed=None if last is None else last["size"],
        signed_at=None if last is None else last["signed_at"],
        now=figures["now"],
        vkey=figures["vkey"],
        witnesses={name: seen.get(name) for name in [*names, *(seen.keys() - set(names))]},
        refusal=refusal,
        signs_here=settings.ledger.sign,
    )


async def disagreement(connection: Any, settings: Settings) -> Refusal | None:
    """Return why the signer of this machine does not sign this database, `None` when it does."""
    try:
        files = SignerFiles(settings.signer_dir)
        await check_directory(connection, files, signs_here=settings.ledger.sign)
    except (SignerRefuses, SignerBroken) as error:
        return Refusal(error.code, str(error))
    return None


def _ago(seconds: float) -> str:
    if seconds < 120:
        return f"{max(seconds, 0):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
