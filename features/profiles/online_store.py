"""Where does Feast keep the profiles that decisions read? In the Valkey or Redis of our URL.

Feast's own Redis store with two differences: the client is built from a URL (a socket file and a
cluster too), and the name of the build (the generation) is part of every key. A materialisation so
writes beside the one that is being read; the marker switches readers over when it is complete.
Invariant: without that, rows are byte for byte Feast's (entity key, hash fields, protobuf values).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

from feast import FeatureView, RepoConfig
from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value as ValueProto
from redis import Redis
from redis.cluster import ClusterNode, RedisCluster

from features.profiles.schema import PROJECT
from features.velocity.address import is_cluster, parse_cluster

_Type = Literal["features.profiles.online_store.ProfileOnlineStore"]
Row = tuple[EntityKey, dict[str, ValueProto], datetime, datetime | None]

_SCHEMES = {"valkey": "redis", "valkeys": "rediss", "redis+unix": "unix", "valkey+unix": "unix"}


class ProfileOnlineStoreConfig(RedisOnlineStoreConfig):
    """`online_store:` of `feature_store.yaml`; all of Feast's Redis settings but the address."""

    # Feast finds the class of a store by this text; its own stores redefine it in the same way.
    type: _Type = "features.profiles.online_store.ProfileOnlineStore"  # type: ignore[assignment]
    url: str = "redis://127.0.0.1:6379"
    """Valkey or Redis, as `TOUCHSTONE_VALKEY__URL` names it"""
    generation: str = ""
    """Name of the build whose rows are read and written"""


class ProfileOnlineStore(RedisOnlineStore):
    """Feast's Redis online store at our URL, one generation at a time."""

    def _get_client(self, online_store_config: RedisOnlineStoreConfig) -> Redis | RedisCluster:
        if self._client is None:
            assert isinstance(online_store_config, ProfileOnlineStoreConfig)
            self._client = client_of(online_store_config.url)
        return self._client

    async def _get_client_async(self, online_store_config: RedisOnlineStoreConfig) -> Any:
        raise NotImplementedError("decisions read through features.profiles.feast_store")

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[Row],
        progress: Callable[[int], Any] | None,
    ) -> None:
        super().online_write_batch(_of_generation(config), table, data, progress)

    def delete_entity_values(self, config: RepoConfig, join_keys: list[str]) -> None:
        super().delete_entity_values(_of_generation(config), join_keys)

    def delete_table(self, config: RepoConfig, table: FeatureView) -> None:
        super().delete_table(_of_generation(config), table)

    def _generate_redis_keys_for_entities(
        self, config: RepoConfig, entity_keys: list[EntityKey]
    ) -> list[bytes]:
        return super()._generate_redis_keys_for_entities(_of_generation(config), entity_keys)

    def keys_of(self, config: RepoConfig, entity: str, tags: Sequence[str]) -> list[bytes]:
        """Return the key of each entity's row in the generation of the configuration."""
        return self._generate_redis_keys_for_entities(
            config,
            [
                EntityKey(join_keys=[entity], entity_values=[ValueProto(string_val=tag)])
                for tag in tags
            ],
        )

    def fields_of(
        self, table: FeatureView, names: Sequence[str]
    ) -> tuple[list[str], list[str | bytes]]:
        """Return how the store names these features of a view, its row's time behind them."""
        return self._generate_hset_keys_for_features(table, list(names))

    def row_of(
        self, table: FeatureView, names: list[str], values: Sequence[bytes | None]
    ) -> tuple[datetime, dict[str, ValueProto]] | None:
        """Read one reply for the `names` of `fields_of`; None when there is no such row."""
        if values[-1] is None:  # the row's time, which every row has
            return None
        ((when, row),) = self._convert_redis_values_to_protobuf([values], table.name, names)
        return None if when is None or row is None else (when, row)


def project_of(generation: str) -> str:
    """Return the name that stands at the end of every key of a generation."""
    return f"{PROJECT}@{generation}" if generation else PROJECT


def client_of(url: str) -> Redis | RedisCluster:
    """Return a blocking client of a server or cluster; for commands, never for decisions."""
    if not is_cluster(url):
        scheme = url.partition("://")[0]
        return Redis.from_url(_SCHEMES.get(scheme, scheme) + url[len(scheme) :])
    members = parse_cluster(url)
    options: dict[str, Any] = {
        name: value for name, value in parse_qsl(urlsplit(url).query) if name.startswith("ssl_")
    }
    return RedisCluster(
        startup_nodes=[ClusterNode(one.host, one.port) for one in members],  # type: ignore[no-untyped-call]
        username=members[0].username,
        password=members[0].password,
        ssl=members[0].tls is not None,
        **options,
    )


def _of_generation(config: RepoConfig) -> RepoConfig:
    """Return the configuration whose project names the generation."""
    online = config.online_store
    assert isinstance(online, ProfileOnlineStoreConfig)
    if not online.generation:
        return config
    return config.model_copy(update={"project": project_of(online.generation)})
