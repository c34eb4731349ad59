"""How does a package get from the service into a file?

It is waited for, then fetched piece by piece into `FILE.partial`. Invariants: what is there already
is asked for again only when it belongs to another build of the package (its ETag says so); nothing
but the owner may read the file; it gets its name when it is whole.
"""

from __future__ import annotations

import os
import time
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.cli.ledger_export import ExportRefused

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from service.cli.api_client import ApiClient

POLL_SECONDS = 0.5
PIECE_BYTES = 1 << 20
# Downloads that break without a single byte more, one after the other.
MOST_FRUITLESS = 5
_WAITS = ("requested", "queued", "running")


def built(client: ApiClient, export: dict[str, Any]) -> dict[str, Any]:
    """Wait until the package is ready and return the export. Raises `ExportRefused`."""
    from service.cli.api_client import path

    where = path("v1", "audit", "exports", export["id"])
    if export["state"] == "requested":
        raise ExportRefused("somebody else has to approve it first")
    with _bar("entries") as bar:
        task = bar.add_task("Building", total=export["entries"])
        while export["state"] in _WAITS:
            time.sleep(POLL_SECONDS)
            export = client.get(where)
            bar.update(task, completed=export["done"])
    if export["state"] != "ready":
        why = export["error"] or export["reason"] or "there is no package"
        raise ExportRefused(f"the export is {export['state']}: {why}")
    return export


def fetched(client: ApiClient, export: dict[str, Any], file: Path) -> None:
    """Fetch a package into `file`. Raises `ExportRefused` and `ApiRefused`."""
    partial, tag_file = file.with_name(f"{file.name}.partial"), file.with_name(f"{file.name}.etag")
    fruitless = 0
    try:
        with _bar("bytes") as bar:
            task = bar.add_task("Fetching", total=export["bytes"])
            if not _is_of(export, tag_file):
                partial.unlink(missing_ok=True)
            while _length(partial) != export["bytes"]:
                before = _length(partial)
                _fetch_some(client, export, partial, tag_file, bar, task)
                fruitless = 0 if _length(partial) > before else fruitless + 1
                if fruitless >= MOST_FRUITLESS:
                    raise ExportRefused("the download breaks again and again: run this later")
                if fruitless:
                    time.sleep(POLL_SECONDS)
        partial.replace(file)
        tag_file.unlink()
    except OSError as error:
        raise ExportRefused(f"cannot write {file}: {error.strerror}") from None


def _is_of(export: dict[str, Any], tag_file: Path) -> bool:
    """Say whether what is there already is of this package: its tag begins as its manifest does."""
    if not tag_file.exists():
        return False
    return tag_file.read_text(encoding="ascii").startswith(f'"{export["manifest_sha256"][:32]}-')


def _fetch_some(
    client: ApiClient,
    export: dict[str, Any],
    partial: Path,
    tag_file: Path,
    bar: Progress,
    task: TaskID,
) -> None:
    """Fetch what is missing, as far as the connection lasts."""
    from service.cli.api_client import path

    have = _length(partial) if tag_file.exists() else 0
    headers = {}
    if have:
        tag = tag_file.read_text(encoding="ascii")
        headers = {"Range": f"bytes={have}-", "If-Range": tag}
    where = path("v1", "audit", "exports", export["id"], "package")
    with client.stream(where, headers) as response:
        goes_on = response.status == 206
        flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if goes_on else os.O_TRUNC)
        with os.fdopen(os.open(partial, flags, 0o600), "ab" if goes_on else "wb") as out:
            if not goes_on:
                tag_file.write_text(str(response.headers["ETag"]), encoding="ascii")
                have = 0
            bar.update(task, completed=have)
            while data := _read(response):
                out.write(data)
                bar.advance(task, len(data))


def _read(response: Any) -> bytes:
    try:
        data: bytes = response.read(PIECE_BYTES)
    except (OSError, HTTPException):  # what came before it is kept, and the rest asked for again
        return b""
    return data


def _length(partial: Path) -> int:
    return partial.stat().st_size if partial.exists() else 0


def _bar(unit: str) -> Progress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn() if unit == "bytes" else MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
