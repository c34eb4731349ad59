"""Which series are counted, those of the rule sets that run included?

For the commands that look at the velocity store beside the service. Invariant: what they take for
declared is what the workers count, also while a set is deployed that no worker can use.
"""

from __future__ import annotations

from typing import Any

from features.catalog import Catalog, CatalogError
from service.rule_sets.errors import WrongState
from service.rule_sets.store import deployed

_SERIES = """
SELECT version, text FROM rule_set_file WHERE name = 'series.yaml' AND version = ANY($1::text[])
"""


async def counted_catalog(connection: Any, base: Catalog) -> Catalog:
    """Return the catalog with the series of every set that runs live, as candidate or as shadow.

    Those that do not fit are left out, as the workers do. `connection` is an asyncpg connection.
    """
    try:
        versions = (await deployed(connection)).versions
    except WrongState:
        return base
    texts = {row["version"]: row["text"] for row in await connection.fetch(_SERIES, list(versions))}
    catalog, used = base, list[str]()
    for version in versions:
        if version not in texts or texts[version] in used:
            continue
        try:
            catalog = base.extended([*used, texts[version]])
        except CatalogError:
            continue  # the workers say so
        used.append(texts[version])
    return catalog
