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

import redis.asyncio
import redis.asyncio.cluster
from feast import FeatureView, RepoConfig
from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value as ValueProto
from google.protobuf.timestamp_pb2 import Timestamp
from redis import Redis
from redis.cluster import ClusterNode, RedisCluster

from features.fields import Value
from features.profiles.schema import PROJECT
from features.velocity.address import is_cluster, parse_cluster

_Type = Literal["features.profiles.online_store.ProfileOnlineStore"]
Row = tuple[EntityKey, dict[str, ValueProto], datetime, datetime | None]

TAG_CHARACTERS = 22  # of `features.tags`
_Holder = Literal["int64_val", "double_val", "string_val", "bool_val"]
_HOLDERS: dict[str, _Holder] = {
    "int": "int64_val",
    "double": "double_val",
    "string": "string_val",
    "bool": "bool_val",
}
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
        if self._client_async is None:
            assert isinstance(online_store_config, ProfileOnlineStoreConfig)
            self._client_async = _client(
                online_store_config.url,
                redis.asyncio.Redis,
                redis.asyncio.cluster.RedisCluster,
                redis.asyncio.cluster.ClusterNode,
            )
        return self._client_async

    async def close(self) -> None:
        """Close the asynchronous client; `FeatureStore.close` comes here."""
        if self._client_async is not None:
            await self._client_async.aclose()
            self._client_async = None

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

    def key_template(self, config: RepoConfig, entity: str) -> tuple[bytes, bytes]:
        """Return what stands before and after a tag of `TAG_CHARACTERS` in the key of its row."""
        placeholder = "~" * TAG_CHARACTERS  # no tag has this character
        before, found, after = self.keys_of(config, entity, [placeholder])[0].partition(
            placeholder.encode()
        )
        assert found
        return before, after

    def fields_of(self, table: FeatureView, names: Sequence[str]) -> tuple[str | bytes, ...]:
        """Return how the store names these features of a view; last the time of the row."""
        return tuple(self._generate_hset_keys_for_features(table, list(names))[1])


class Reader:
    """Reads the replies for some fields of one view into features.

    Feast's `_convert_redis_values_to_protobuf` does the same by way of two dicts, a date and a
    message for each value, which a decision would feel.
    """

    def __init__(self, features: Sequence[tuple[str, str]]) -> None:
        """Take name and type (int, double, string, bool) of each feature, in the fields' order."""
        self._features = tuple((name, _HOLDERS[kind]) for name, kind in features)
        self._value = ValueProto()
        self._time = Timestamp()

    def seconds(self, raw: bytes) -> float:
        """Return the time of a row; raises `DecodeError`."""
        self._time.ParseFromString(raw)
        seconds: float = self._time.seconds + self._time.nanos / 1e9
        return seconds

    def read(self, reply: Sequence[bytes | None], into: dict[str, Value]) -> None:
        """Put the values of a row in place; null, or a value of another type, is unknown.

        Raises `DecodeError`.
        """
        proto = self._value
        for raw, (name, holder) in zip(reply, self._features, strict=False):
            if raw:
                proto.ParseFromString(raw)
                value = getattr(proto, holder)
                # 0 is what an empty holder gives as well; NaN is what Feast makes of some nulls.
                if (value or proto.HasField(holder)) and value == value:
                    into[name] = value


def project_of(generation: str) -> str:
    """Return the name that stands at the end of every key of a generation."""
    return f"{PROJECT}@{generation}" if generation else PROJECT


def client_of(url: str) -> Redis | RedisCluster:
    """Return a blocking client of a server or cluster; for commands, never for decisions."""
    client: Redis | RedisCluster = _client(url, Redis, RedisCluster, ClusterNode)
    return client


def _client(url: str, server: Any, cluster: Any, node: Any) -> Any:
    """Return a client of redis-py's blocking or asynchronous classes, unopened."""
    if not is_cluster(url):
        scheme = url.partition("://")[0]
        return server.from_url(_SCHEMES.get(scheme, scheme) + url[len(scheme) :])
    members = parse_cluster(url)
    options: dict[str, Any] = {
        name: value for name, value in parse_qsl(urlsplit(url).query) if name.startswith("ssl_")
    }
    return cluster(
        startup_nodes=[node(one.host, one.port) for one in members],
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
