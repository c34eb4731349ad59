"""How does a command that changes something on the machine leave a record of it?

Invariant: what such a command does is in the ledger before it is done, as what goes through the API
is; with PostgreSQL away it is not done.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from service.settings import Settings

if TYPE_CHECKING:
    from service.actions import Actions
    from service.keys import HeldKeks
    from service.ledger.keys import Keyring

Result = TypeVar("Result")
MACHINE = "machine"


@dataclass(frozen=True, slots=True)
class Recording:
    """What records, and with which keys. `ring` wraps with `held`; the writer shares both."""

    actions: Actions
    dsn: str
    ring: Keyring
    held: HeldKeks


def with_actions(
    settings: Settings,
    act: Callable[[Actions], Awaitable[Result]],
    *,
    guarded: bool = True,
    begins: bool = False,
) -> Result:
    """Run `act` with the actions of this machine and return its result.

    `guarded=False`: also on a database that lacks what was signed, to accept that.
    `begins`: also in a directory where no service has run yet.
    Raises as `with_dsn` does, `LedgerError` and what `act` raises.
    """

    async def of_actions(recording: Recording) -> Result:
        return await act(recording.actions)

    return with_recording(settings, of_actions, guarded=guarded, begins=begins)


def with_recording(
    settings: Settings,
    act: Callable[[Recording], Awaitable[Result]],
    *,
    guarded: bool = True,
    begins: bool = False,
) -> Result:
    """Do as `with_actions`, for what handles keys as well."""
    from service.cli.database import with_dsn

    async def recorded(dsn: str) -> Result:
        from service.actions import Actions
        from service.changes import Changes
        from service.guards import writer_check
        from service.keys import open_wrapper
        from service.keys.following import CHANNEL, KeysFollower
        from service.ledger.keys import Keyring
        from service.ledger.writer import LedgerWriter, WriterSettings

        held = open_wrapper(settings)
        ring = Keyring(held)
        writer = await LedgerWriter.start(
            # No spool: the change needs PostgreSQL in any case.
            WriterSettings(
                dsn,
                settings.ledger.log_name,
                settings.var / "spool",
                0,
                writer_check(settings) if guarded else None,
            ),
            ring,
        )
        # A command may take hours, and keys may be rotated meanwhile.
        changes = Changes(dsn)
        changes.follow(CHANNEL, KeysFollower(writer, ring, held).refresh)
        try:
            async with changes:
                return await act(Recording(Actions(dsn, writer), dsn, ring, held))
        finally:
            await writer.close()

    return with_dsn(settings, recorded, begins=begins)


def on_this_machine() -> dict[str, str]:
    """Return who acts, as records name it: the machine, and which user of it."""
    import pwd

    number = os.getuid()
    try:
        user = pwd.getpwuid(number).pw_name
    except KeyError:  # containers run as users that have no name
        user = str(number)
    return {"actor": MACHINE, "machine_user": user}
