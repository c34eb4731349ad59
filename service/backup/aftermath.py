"""Is a restored database the log, and what was lost with the old one?

Erasures that came after the backup are repeated, the whole log is verified, and its tree is
compared with what the signer remembers outside the database. Invariant: a loss is named, never
passed over; the report says what is to be done next.
"""

from __future__ import annotations

from dataclasses import dataclass

import asyncpg

from service.audit.blind_index import BlindIndex
from service.backup.chain import Backup
from service.ledger.errors import LedgerError
from service.ledger.keys import Keyring, KeyWrapper
from service.ledger.report import INCOMPLETE, PROVEN, Report
from service.ledger.verify import verify_log
from service.rights.journal import FILE_NAME, Digests, JournalFile, records_since
from service.rights.parts import Opening
from service.rights.replay import Replayed, replay_journal
from service.secrets_files import read_key
from service.settings import Settings
from service.signer.agreement import check_agreement
from service.signer.errors import SignerRefuses
from service.signer.state import SignerFiles, State


@dataclass(frozen=True, slots=True)
class Aftermath:
    """What was found after a restore. `lost`: signed entries that are not here, [first, last).

    `journal_lacks`: erasures that the backup knows and the journal's file does not; `None` where
    there is no file, and the backup knows of none.
    """

    size: int
    erased_again: Replayed
    journal_lacks: int | None
    report: Report
    signed_size: int | None
    lost: tuple[int, int] | None
    refusal: str | None

    @property
    def is_complete(self) -> bool:
        """Whether everything that was signed is here, unchanged.

        Blocks that erasure or retention took out were missing when the backup was taken, too.
        """
        is_here = self.refusal is None and self.report.exit_code in (PROVEN, INCOMPLETE)
        return is_here and not self.journal_lacks


async def look_after(
    settings: Settings, dsn: str, line: list[Backup], wrapper: KeyWrapper
) -> Aftermath:
    """Repeat erasures and compare. Raises `LedgerError`, OSError and what asyncpg raises."""
    last = line[-1].manifest
    state = SignerFiles(settings.signer_dir).load()
    path = settings.var / FILE_NAME
    records, has_journal = JournalFile(path).read(), path.exists()
    tag_key = read_key(settings.tag_key_path)
    opens = Opening(Keyring(wrapper), settings.ledger.log_name, BlindIndex(tag_key))
    connection = await asyncpg.connect(dsn)
    try:
        known, _ = await records_since(connection, 0)
        erased_again = await replay_journal(connection, Digests(tag_key), records, opens)
        refusal = await _refusal(connection, state)
    finally:
        await connection.close()
    return Aftermath(
        size=last.size,
        erased_again=erased_again,
        journal_lacks=len(set(known) - set(records)) if known or has_journal else None,
        report=await verify_log(
            dsn, wrapper=wrapper, spool_dir=settings.var / "spool", log=settings.ledger.log_name
        ),
        signed_size=None if state is None else state.size,
        lost=(last.size, state.size) if state is not None and state.size > last.size else None,
        refusal=refusal,
    )


async def _refusal(connection: object, state: State | None) -> str | None:
    if state is None:
        return None
    try:
        await check_agreement(connection, state)
    except (SignerRefuses, LedgerError) as error:
        return str(error)
    return None
