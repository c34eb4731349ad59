"""How do counters come back from the ledger? `touchstone features backfill | rebuild`.

Both may be stopped at any moment, also by kill -9, and go on when they are run again; the service
may go on serving meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Self

import typer

from service.cli.options import Var

if TYPE_CHECKING:
    from service.cli.stores import Stores
    from service.history.restore import Restored, Restorer

# Any number will do, as long as it is always this one: `int.from_bytes(b"restorer")` without sign.
_LOCK = 0x726573746F726572
LINE_SECONDS = 5.0

Wait = Annotated[
    float,
    typer.Option(
        "--wait", metavar="SECONDS", help="Wait so long for entries that are still in a spool"
    ),
]


def backfill(
    series: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SERIES]...", help="Default: every series that is incomplete"),
    ] = None,
    wait: Wait = 30.0,
    var: Var = None,
) -> None:
    """Count the past of new or changed series from the ledger, so that rules may use them."""
    names = tuple(series or ())

    async def act(
        restorer: Restorer, budget_ms: int, settled: Callable[[], Awaitable[None]]
    ) -> Restored | None:
        return await restorer.backfill(names, budget_ms, settled)

    _restore(act, wait, var)


def rebuild(wait: Wait = 30.0, var: Var = None) -> None:
    """Count everything again from the ledger: after the velocity store was lost or cleared."""

    async def act(
        restorer: Restorer, budget_ms: int, settled: Callable[[], Awaitable[None]]
    ) -> Restored | None:
        return await restorer.rebuild(budget_ms, settled)

    _restore(act, wait, var)


def _restore(
    act: Callable[[Restorer, int, Callable[[], Awaitable[None]]], Awaitable[Restored | None]],
    wait_seconds: float,
    var: Var,
) -> None:
    from features.velocity.history_store import ValkeyVelocityHistory
    from service.cli.stores import with_stores
    from service.history.reader import LedgerHistory
    from service.history.restore import Restorer
    from service.history.shadows import RestoreError
    from service.history.spools import bring_in_spools
    from service.rights.journal import Digests
    from service.secrets_files import read_keys
    from service.settings import load_settings
    from service.store_state import StoreStates

    settings = load_settings(var)
    began = time.monotonic()

    async def run(stores: Stores) -> Restored | None:
        if not await stores.database.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
            raise RestoreError("another backfill or rebuild is under way")

        async def settled() -> None:
            spools = settings.var / "spool"
            await bring_in_spools(spools, stores.dsn, stores.ring, wait_seconds=wait_seconds)

        with Bars() as bars:
            history = LedgerHistory(
                stores.database,
                stores.ring,
                settings.ledger.log_name,
                digests=Digests(read_keys(settings).tag),
                even_restricted=True,
            )
            restorer = Restorer(
                history,
                StoreStates(stores.valkey, timeout_s=5.0),
                ValkeyVelocityHistory(stores.valkey),
                stores.catalog,
                stores.tagger,
                bars,
            )
            return await act(restorer, settings.http.budget_ms, settled)

    done = with_stores(settings, run)
    if done is None:
        typer.echo("every series is complete: nothing to do")
        return
    typer.echo(
        f"done in {time.monotonic() - began:.0f} s: {len(done.series)} series are complete; "
        f"{done.events} events gave {done.writes} records, {done.keys} series of entities restored"
    )
    if done.erased:
        typer.echo(f"{done.erased} events of erased persons were left out")
    if done.unreadable:
        typer.echo(
            f"{done.unreadable} entries cannot be read and were left out: "
            "`touchstone ledger verify` says more"
        )


class Bars:
    """Progress bars on a terminal, a line now and then elsewhere."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.progress import TimeRemainingColumn as Remaining

        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            Remaining(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._reading = self._progress.add_task("reading the ledger", total=None)
        self._merging = self._progress.add_task("putting series in place", total=None)
        self._next_line = time.monotonic() + LINE_SECONDS

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def said(self, text: str) -> None:
        """Print a line."""
        self._console.print(text)

    def read(self, events: int, of: int) -> None:
        """Show how many events were read."""
        self._progress.update(self._reading, completed=events, total=max(events, of))
        self._line(f"{events} of {of} events are read")

    def merged(self, series: int) -> None:
        """Show how many series are in place."""
        self._progress.update(self._merging, completed=series)
        self._line(f"{series} series of entities are in place")

    def _line(self, text: str) -> None:
        if not self._console.is_terminal and time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + LINE_SECONDS
            self._console.print(text)
