"""How does a decision read profiles? All views in one round trip, beside the velocities.

Keys, fields and values are those of Feast's online store class; the wire is the connection that
velocities use, as Feast's client needs a client of its own and twice the time. Importing this file
imports Feast (seconds, and some 100 MB): only where profiles are in use.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import hiredis
from feast import FeatureView, RepoConfig
from google.protobuf.message import DecodeError

from features.feast_repo.views import FEATURE_VIEWS
from features.fields import Value
from features.profiles.marker import MARKER_KEY, Marker, age_seconds, is_stale
from features.profiles.online_store import ProfileOnlineStore, ProfileOnlineStoreConfig, project_of
from features.profiles.schema import PROJECT, VIEWS
from features.profiles.store import ProfileAnswer, ProfilesUnavailable, Wanted
from features.velocity.connect import Connection
from features.velocity.store import VelocityUnavailable
from features.velocity.wire import Command, Reply, refusal


class _Plan(NamedTuple):
    """What is read of one view."""

    view: FeatureView
    entity: str
    names: list[str]  # Feast's names of what `fields` ask for
    fields: list[str | bytes]
    features: tuple[tuple[str, str], ...]  # (feature, field)


class FeastProfileStore:
    """The `ProfileStore` of the running service."""

    def __init__(
        self, connection: Connection, wanted: Sequence[Wanted], max_age_seconds: float
    ) -> None:
        self._connection = connection
        self._max_age_seconds = max_age_seconds
        self._feast = ProfileOnlineStore()
        self._config = RepoConfig(
            project=PROJECT,
            provider="local",
            registry="registry.db",
            online_store=ProfileOnlineStoreConfig(),
            entity_key_serialization_version=3,
        )
        self._plans = [plan for name in VIEWS if (plan := self._plan(name, wanted)) is not None]
        self._text: bytes | None = None
        self._marker: Marker | None = None
        self._is_closed = False

    async def read(self, tags: Mapping[str, str], now_ms: int, timeout_s: float) -> ProfileAnswer:
        asked = [(plan, tags[plan.entity]) for plan in self._plans if plan.entity in tags]
        if not asked:
            return ProfileAnswer({})
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        # Rows and marker are asked for together; were they read under the marker of before, which
        # happens once for each materialisation, the rows are read again.
        while True:
            marker = self._marker
            reads = self._reads(marker, asked, now_ms)
            text, *rows = await self._call(reads, max(0.0, deadline - loop.time()))
            if text == self._text and marker is not None:
                return self._answer(marker, asked, rows, now_ms)
            self._learn(text)

    async def close(self) -> None:
        self._is_closed = True  # the connection belongs to whoever made it

    async def _call(self, reads: list[Command], timeout_s: float) -> list[Reply]:
        if self._is_closed:
            raise ProfilesUnavailable("closed")
        try:
            replies = await self._connection.call(("GET", MARKER_KEY), *reads, timeout_s=timeout_s)
        except VelocityUnavailable as error:
            raise ProfilesUnavailable(error.reason) from None
        for reply in replies:
            if isinstance(reply, hiredis.ReplyError):
                raise ProfilesUnavailable(refusal(reply).reason)
        return replies

    def _learn(self, text: bytes | None) -> None:
        """Take over what the marker says."""
        self._text = self._marker = None
        if text is None:
            raise ProfilesUnavailable("empty")
        try:
            marker = Marker.loads(text)
        except ValueError:
            raise ProfilesUnavailable("corrupt") from None
        project = project_of(marker.generation)
        self._config = self._config.model_copy(update={"project": project})
        self._text, self._marker = text, marker

    def _reads(
        self, marker: Marker | None, asked: list[tuple[_Plan, str]], now_ms: int
    ) -> list[Command]:
        if marker is None or is_stale(marker, now_ms, self._max_age_seconds):
            return []
        return [
            ("HMGET", *self._feast.keys_of(self._config, plan.entity, [tag]), *plan.fields)
            for plan, tag in asked
        ]

    def _answer(
        self,
        marker: Marker,
        asked: list[tuple[_Plan, str]],
        rows: list[Reply],
        now_ms: int,
    ) -> ProfileAnswer:
        answer_age = age_seconds(marker, now_ms)
        ages = {plan.view.name: answer_age for plan, _ in asked}
        if not rows:
            return ProfileAnswer({}, tuple(ages), ages)
        values: dict[str, Value] = {}
        stale: list[str] = []
        for (plan, _), reply in zip(asked, rows, strict=True):
            try:
                found = self._feast.row_of(plan.view, plan.names, reply)
            except DecodeError:
                raise ProfilesUnavailable("corrupt") from None
            if found is None:
                continue
            when, row = found
            ages[plan.view.name] = age = now_ms / 1000 - when.timestamp()
            if not 0 <= age <= self._max_age_seconds:
                stale.append(plan.view.name)
                continue
            for feature, field in plan.features:
                value = _value(row[field])
                if value is not None:
                    values[feature] = value
        return ProfileAnswer(values, tuple(stale), ages)

    def _plan(self, name: str, wanted: Sequence[Wanted]) -> _Plan | None:
        features = tuple((row.name, row.field) for row in wanted if row.view == name)
        if not features:
            return None
        view = FEATURE_VIEWS[name]
        names, fields = self._feast.fields_of(view, list(dict.fromkeys(f for _, f in features)))
        return _Plan(view, VIEWS[name].entity, names, fields, features)


def _value(proto: Any) -> Value | None:
    """Return what a Feast value holds; None for null."""
    kind = proto.WhichOneof("val")
    if kind is None:
        return None
    value: Value = getattr(proto, kind)
    return None if value != value else value  # NaN: no Feast type tells it from null
