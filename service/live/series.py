"""Which series are counted, those of the rule sets that run included?

For the commands that look at the velocity store beside the service. Invariant: what they take for
declared is what the workers count.
"""

from __future__ import annotations

from typing import Any

from features.catalog import Catalog
from service.rule_sets.store import deployed, is_deployed, read_files


async def counted_catalog(connection: Any, base: Catalog) -> Catalog:
    """Return the catalog with the series of every set that runs live, as candidate or as shadow.

    `connection` is an asyncpg connection. Raises `CatalogError` and `RuleSetRejected`.
    """
    if not await is_deployed(connection):
        return base
    sets = [await read_files(connection, v) for v in (await deployed(connection)).versions]
    texts = dict.fromkeys(files.series for files in sets)
    return base.extended(text for text in texts if text is not None)
