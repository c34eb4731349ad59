"""How is the record kept safe from the loss of its database? `touchstone backup`, `restore`."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.options import Var
from service.counted import filled

if TYPE_CHECKING:
    from service.actions import Actions
    from service.backup.aftermath import Aftermath
    from service.backup.chain import Backup
    from service.backup.take import Taken
    from service.cli.recording import Recording
    from service.settings import Settings

VERIFY = "verify"


def backup(
    words: Annotated[
        list[str], typer.Argument(metavar="DIR | verify DIR", help="Where the backups lie")
    ],
    full: Annotated[
        bool, typer.Option("--full", help="Copy everything, also where there is a backup already")
    ] = False,
    with_keys: Annotated[
        bool,
        typer.Option(
            "--with-keys/--without-keys", help="Of verify: prove that nobody changed it, too"
        ),
    ] = True,
    var: Var = None,
) -> None:
    """Copy the database into DIR, encrypted: all of it at first, then what came since.

    `backup verify DIR` checks every file of the latest backup and those that it builds on. Not in a
    backup: the key files, the signer's directory and VAR/erasures.journal. Keep copies of them
    elsewhere; without them a backup cannot be read.
    """
    from service.settings import load_settings

    settings = load_settings(var)
    if len(words) == 2 and words[0] == VERIFY:
        _verify(settings, Path(words[1]), with_keys=with_keys)
    elif len(words) == 1 and words[0] != VERIFY:
        _back_up(settings, Path(words[0]), full=full)
    else:
        raise typer.BadParameter("give one directory: `backup DIR`, or `backup verify DIR`")


def restore(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where the backups lie")],
    backup_id: Annotated[
        str | None,
        typer.Option("--backup", metavar="ID", help="Restore this one. Default: the latest"),
    ] = None,
    var: Var = None,
) -> None:
    """Load a backup into an empty database, and say what is missing from it.

    Erasures since the backup are repeated, the log is verified and compared with what its signer
    remembers. Exit code: 0 all is there, 1 something is to be done.
    """
    import asyncio

    from service.backup.chain import chain, check_chain
    from service.embedded import attach_or_start
    from service.keys import open_wrapper
    from service.settings import load_settings

    settings = load_settings(var)
    wrapper = open_wrapper(settings)
    line = chain(directory, backup_id)
    check_chain(line, wrapper)
    if settings.postgres.url is not None:
        found = asyncio.run(_restored(settings, settings.postgres.url, line))
    else:
        with attach_or_start(settings.var, valkey=False) as urls:
            assert urls.postgres_url is not None
            found = asyncio.run(_restored(settings, urls.postgres_url, line))
    _say(found, line)
    if found.refusal is None:
        _record(settings, found, line)
    raise typer.Exit(0 if found.is_complete else 1)


async def _restored(settings: Settings, dsn: str, line: list[Backup]) -> Aftermath:
    import asyncpg

    from service.backup.aftermath import look_after
    from service.backup.errors import written_in
    from service.backup.restore import check_empty, load, restore_bundles
    from service.cli.database import DatabaseError
    from service.keys import open_wrapper

    wrapper = open_wrapper(settings)
    try:
        connection = await asyncpg.connect(dsn)
        try:
            await check_empty(connection)
        finally:
            await connection.close()
        with written_in(settings.var):
            restore_bundles(line, wrapper, settings.var)
        await load(dsn, line, wrapper)
        return await look_after(settings, dsn, line, wrapper)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        text = str(error).strip() or type(error).__name__
        raise DatabaseError(f"PostgreSQL cannot be used: {text}") from error


def _back_up(settings: Settings, directory: Path, *, full: bool) -> None:
    from service.backup.settle import settle
    from service.backup.take import Source, new_id, take
    from service.cli.recording import on_this_machine, with_recording

    async def act(recording: Recording) -> Taken:
        backup_id, log = new_id(), settings.ledger.log_name
        source = Source(recording.dsn, log, settings.var, recording.held)
        # Before the copy, which so holds its own entry and lacks nothing of a log at rest.
        async with recording.actions.action(
            "backup.taken", on_this_machine(), backup=backup_id, full=full
        ) as action:
            pass
        try:
            await settle(recording.dsn, log, action.entry_id, places=settings.ledger.sequence)
            taken = await take(source, directory, full=full, backup_id=backup_id)
            try:
                taken.place()
            except BaseException:
                taken.discard()
                raise
        except BaseException:
            await _say_it_failed(recording.actions, backup_id)
            raise
        return taken

    taken = with_recording(settings, act)
    manifest = taken.backup.manifest
    if taken.why_full:
        typer.echo(f"A full backup: {taken.why_full}.")
    if manifest.root is None:
        typer.echo(
            "The log's tree is damaged; it was copied as it is. See `touchstone ledger verify`."
        )
    mebibytes = sum(file.size for file in manifest.files) / 2**20
    typer.echo(
        f"{taken.home}: {manifest.kind}, entries {manifest.first:,} to {manifest.size:,}, "
        f"{manifest.waiting:,} not in the tree yet; {mebibytes:,.1f} MiB"
    )
    waiting = sum(path.stat().st_size for path in (settings.var / "spool").glob("*.spool"))
    if waiting > len(b"TSSPOOL1"):
        typer.echo(
            f"{waiting:,} bytes of entries wait in {settings.var / 'spool'}: keep that, too."
        )


async def _say_it_failed(actions: Actions, backup_id: str) -> None:
    from service.actions import StoreAway
    from service.cli.recording import on_this_machine
    from service.ledger.errors import LedgerError

    # What went wrong is raised, and not that there is no database to record it in.
    with contextlib.suppress(StoreAway, LedgerError):
        async with actions.action("backup.failed", on_this_machine(), backup=backup_id):
            pass


def _verify(settings: Settings, directory: Path, *, with_keys: bool) -> None:
    from service.backup.chain import chain, check_chain
    from service.keys import open_wrapper

    line = chain(directory)
    check_chain(line, open_wrapper(settings) if with_keys else None)
    last = line[-1].manifest
    files = sum(len(backup.manifest.files) for backup in line)
    verified = (
        "{}: {:# backup|# backups}, {} files as they were written, {:# entry|# entries}, taken {}"
    )
    typer.echo(
        filled(verified, line[-1].directory, len(line), files, last.entries, last.created_at)
    )
    if not with_keys:
        typer.echo("Not shown without the key-encryption key: that nobody exchanged all of it.")


def _say(found: Aftermath, line: list[Backup]) -> None:
    last = line[-1].manifest
    typer.echo(f"Restored: {last.entries:,} entries, as they were on {last.created_at}.")
    typer.echo(found.report.render())
    if found.erased_again.tags:
        typer.echo(
            f"Erased since the backup, and erased again: {found.erased_again.counts.entries:,} "
            f"entries under {found.erased_again.tags} tags of persons."
        )
    if found.journal_lacks is None:
        typer.echo(
            "No erasure since was repeated: VAR/erasures.journal is not here. If anybody was ever "
            "erased, put back your copy of it; the next start of the service repeats them."
        )
    elif found.journal_lacks:
        typer.echo(
            f"VAR/erasures.journal lacks {found.journal_lacks} erasures that the backup has: it is "
            "missing, older than the backup, or another's. Those after the backup may be undone: "
            "put back the newest copy; the next start of the service repeats what it names."
        )
    if found.signed_size is None:
        typer.echo(
            "Not compared with the signer, whose directory is not here: put back your copy of it, "
            "then run `touchstone ledger status`."
        )
    if found.lost is not None:
        first, after = found.lost
        what = (
            f"1 entry that was signed, number {first:,}"
            if after - first == 1
            else f"{after - first:,} entries that were signed, numbers {first:,} to {after - 1:,}"
        )
        typer.echo(f"LOST: {what}.")
        if last.waiting:
            typer.echo(
                f"{last.waiting:,} are here without a number: some of the lost may be these."
            )
    if found.refusal is not None:
        typer.echo(found.refusal)
    else:
        typer.echo("Next: `touchstone features rebuild` brings the velocities back.")


def _record(settings: Settings, found: Aftermath, line: list[Backup]) -> None:
    from service.cli.recording import on_this_machine, with_actions

    last = line[-1].manifest

    async def act(actions: Actions) -> None:
        async with actions.action(
            "ledger.restored",
            on_this_machine(),
            backup=last.id,
            taken_at=last.created_at,
            entries=last.entries,
            erased_again=found.erased_again.counts.entries,
            verified=found.report.exit_code,
        ):
            pass

    with_actions(settings, act)
