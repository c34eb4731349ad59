"""What shall be in a package? Everything that its builder is told.

Invariant: what `export.json` says of the request is what was approved, and the builder decides
nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from service.audit.package.verify import BLOCKS
from service.rights.periods import Periods

# What a role may have disclosed.
ROLE_BLOCKS: Mapping[str, tuple[str, ...]] = {
    "compliance": BLOCKS,
    "auditor": ("core", "staff"),
}


@dataclass(frozen=True, slots=True)
class PackageRequest:
    """The leaves [first, last) of the tree of a log, and what of them is shown.

    `blocks`: the kinds that are disclosed. `types`: entries of other types have their blocks
    withheld; None: no filter. `earlier`: sizes of older trees to prove consistency from.
    `periods`: how long blocks are kept, to tell `retention` from a key that is missing.
    """

    export_id: UUID
    log: str
    first: int
    last: int
    purpose: str
    requested_by: str
    approved_by: str
    role: str = "compliance"
    blocks: tuple[str, ...] = ("core",)
    types: tuple[str, ...] | None = None
    earlier: tuple[int, ...] = ()
    periods: Periods | None = None

    @property
    def may_see(self) -> tuple[str, ...]:
        """The kinds of blocks that the role could have had disclosed."""
        return ROLE_BLOCKS[self.role]
