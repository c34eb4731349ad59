"""What does a worker lend to whoever erases?"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from features.catalog import Catalog
from service.actions import Actions
from service.audit.blind_index import BlindIndex
from service.idempotency import Once
from service.ledger.keys import Keyring
from service.rights.journal import Digests, JournalFile
from service.rights.traces import TraceEraser


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
