"""How does Feast come to know a build? By a `feature_store.yaml` beside its rows.

The file is made from the settings when a command runs: no path of a machine stands in the sources.
Invariant: no password is written; a URL that has one is named by its environment variable.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from features.profiles.schema import PROJECT
from service.feast_import import import_feast

if TYPE_CHECKING:
    from feast import FeatureStore

URL_VARIABLE = "TOUCHSTONE_VALKEY__URL"
MAX_AGE_HOURS = 72  # the default of `TOUCHSTONE_PROFILES__MAX_AGE_HOURS`
# Rows must not expire while they may be read: then every customer would look like a newcomer.
_LONGER_SECONDS = 2 * 86_400
WRITE_ROWS = 5_000  # about 5 MB on the wire at a time


def lifetime_seconds(max_age_hours: int) -> int:
    """Return how long rows stay in the online store when no newer build takes their place."""
    return max_age_hours * 3600 + _LONGER_SECONDS


def write_config(
    directory: Path, generation: str, url: str | None, max_age_hours: int = MAX_AGE_HOURS
) -> Path:
    """Write `feature_store.yaml`; without a URL, or with a secret one, it names the variable."""
    online = {
        "type": "features.profiles.online_store.ProfileOnlineStore",
        "url": f"${{{URL_VARIABLE}}}" if url is None or _has_password(url) else url,
        "generation": generation,
        "key_ttl_seconds": lifetime_seconds(max_age_hours),
        # Every generation has keys of its own: there is nothing older to compare with.
        "skip_dedup": True,
    }
    path = directory / "feature_store.yaml"
    config = {
        "project": PROJECT,
        "provider": "local",
        "registry": "registry.db",
        "offline_store": {"type": "dask"},
        "online_store": online,
        "entity_key_serialization_version": 3,
        "materialization": {"online_write_batch_size": WRITE_ROWS},
    }
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return path


def open_store(directory: Path, url: str | None = None) -> FeatureStore:
    """Open the Feast repository of a build, its views and services applied.

    `url` takes the place of the variable in `feature_store.yaml`.
    """
    import_feast()
    from feast import FeatureStore

    if url is not None and _has_password(url):
        os.environ[URL_VARIABLE] = url
    store = FeatureStore(repo_path=str(directory))
    if not (directory / "registry.db").exists():
        apply_definitions(store)
    return store


def _has_password(url: str) -> bool:
    return "@" in url.partition("://")[2].partition("/")[0]


def apply_definitions(store: FeatureStore) -> None:
    """Register entities, views and services of `features/feast_repo/`."""
    from features.feast_repo.entities import ENTITIES
    from features.feast_repo.services import SERVICES
    from features.feast_repo.views import FEATURE_VIEWS

    store.apply([*ENTITIES.values(), *FEATURE_VIEWS.values(), *SERVICES])
