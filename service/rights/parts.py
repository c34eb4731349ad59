"""What does a worker lend to whoever erases?"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from features.catalog import Catalog
from service.actions import Actions
from service.audit.blind_index import BlindIndex
from service.idempotency import Once
from service.ledger.keys import Keyring
from service.rights.journal import Digests, JournalFile
from service.rights.traces import TraceEraser


class Opens(Protocol):
    """What it takes to open entries, and to find them by what they mention."""

    @property
    def ring(self) -> Keyring: ...
    @property
    def log_name(self) -> str: ...
    @property
    def terms(self) -> BlindIndex: ...


class Opening(NamedTuple):
    """The same where no worker runs: a database that was restored."""

    ring: Keyring
    log_name: str
    terms: BlindIndex


class RightsParts(NamedTuple):
    """What a worker lends: `catalog` gives the one that decides at the moment."""

    ring: Keyring
    log_name: str
    once: Once
    actions: Actions
    traces: TraceEraser
    terms: BlindIndex
    digests: Digests
    file: JournalFile
    catalog: Callable[[], Catalog]
