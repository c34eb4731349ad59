"""Which key-encryption keys (KEK) are there? `touchstone keys new-file | files`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from service.cli.options import Var


def new_file(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it; not there yet")],
    var: Var = None,
) -> None:
    """Make a key-encryption key for a first start with a PostgreSQL of your own.

    It lies in FILE as TOUCHSTONE_KEYS__PROVIDER says: in clear, or wrapped by the key service.
    """
    import secrets

    from service.keys.secret_file import KEY_BYTES, write_secret
    from service.keys.slots import KekSlots
    from service.settings import load_settings

    write_secret(path, KekSlots(load_settings(var)).packed(secrets.token_bytes(KEY_BYTES)))
    typer.echo(f"made {path}: name it in TOUCHSTONE_KEYS__KEK_FILE, the same on every machine")


def files(var: Var = None) -> None:
    """Show the files of key-encryption keys: which wraps, which opens older things only.

    No key service is asked: what a file says of itself is shown.
    """
    from rich.console import Console
    from rich.table import Column, Table

    from service.cli.database import with_database
    from service.keys.provider import kek_id_in, provider_of
    from service.keys.secret_file import read_secret
    from service.keys.slots import KekSlots
    from service.ledger.agreed import read_agreed
    from service.ledger.errors import LedgerError
    from service.settings import load_settings

    settings = load_settings(var)
    slots = KekSlots(settings)
    agreed = with_database(settings, read_agreed)
    table = Table(Column("file", overflow="fold"), "guarded by", "id", "what for", box=None)
    for path in (slots.path, *slots.others()):
        try:
            content = read_secret(path)
            guarded_by, kek_id = provider_of(content), kek_id_in(content)
        except LedgerError as error:
            table.add_row(str(path), "?", "?", f"cannot be used: {error}")
            continue
        if kek_id == agreed.kek or (agreed.kek is None and path == slots.path):
            use = "wraps every key"
        elif kek_id == agreed.next_kek:
            use = "the next one: a rotation is under way"
        elif kek_id == agreed.old_kek:
            use = "is being replaced: a rotation is under way"
        else:
            use = "opens older backups and spools only"
        table.add_row(str(path), guarded_by, kek_id.hex(), use)
    Console(soft_wrap=True).print(table)
