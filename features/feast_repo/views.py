"""Which feature views does Feast serve? Those that `features/profiles/schema.py` declares.

Sources are Parquet files beside the repository's `feature_store.yaml`, one row for each entity and
snapshot. Invariant: no path of a machine stands here; Feast finds the files from the repository.
"""

from __future__ import annotations

from datetime import timedelta

from feast import FeatureView, Field, FileSource
from feast.types import Bool, FeastType, Float64, Int64, String

from features.feast_repo.entities import ENTITIES
from features.profiles.schema import DEVICE, USER, ProfileView

# In training an event takes the row of its own day or none: an older one would say less than was
# known. Decisions may take older profiles while builds fail: `TOUCHSTONE_PROFILES__MAX_AGE_HOURS`.
TTL = timedelta(hours=24)

TYPES: dict[str, FeastType] = {"int": Int64, "double": Float64, "string": String, "bool": Bool}


def _view(declared: ProfileView) -> FeatureView:
    return FeatureView(
        name=declared.name,
        entities=[ENTITIES[declared.entity]],
        ttl=TTL,
        schema=[
            Field(name=declared.entity, dtype=String),
            *(
                Field(name=field.name, dtype=TYPES[field.type], description=field.text)
                for field in declared.fields
            ),
        ],
        source=FileSource(
            name=f"{declared.name}_rows",
            path=f"{declared.name}.parquet",
            timestamp_field="event_timestamp",
            created_timestamp_column="created",
        ),
        online=True,
        description=f"What is known of a {declared.entity} in the long run",
    )


user_profile = _view(USER)
device_profile = _view(DEVICE)
FEATURE_VIEWS = {view.name: view for view in (user_profile, device_profile)}
