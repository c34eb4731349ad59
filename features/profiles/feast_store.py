"""How does a decision read profiles? All views in one round trip, beside the velocities.

Keys, fields and values are those of Feast's online store class; the wire is the connection that
velocities use, as Feast's client needs a client of its own and three times the CPU. Importing this
file imports Feast (seconds, and some 130 MB): only where profiles are in use.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import hiredis
from feast import RepoConfig
from google.protobuf.message import DecodeError

from features.feast_repo.views import FEATURE_VIEWS
from features.fields import Value
from features.profiles.marker import MARKER_KEY, Marker, age_seconds, is_stale
from features.profiles.online_store import (
    TAG_CHARACTERS,
    ProfileOnlineStore,
    ProfileOnlineStoreConfig,
    Reader,
)
from features.profiles.schema import PROJECT, VIEWS
from features.profiles.store import ProfileAnswer, ProfilesUnavailable, Wanted
from features.velocity.connect import Connection
from features.velocity.store import VelocityUnavailable
from features.velocity.wire import Command, Reply, refusal


class _Plan(NamedTuple):
    """What is read of one view."""

    view: str
    entity: str
    fields: tuple[str | bytes, ...]
    reader: Reader


class _Source(NamedTuple):
    """The materialisation that is read: its marker, as bytes too, and where its rows are."""

    text: bytes
    marker: Marker
    config: RepoConfig
    templates: Mapping[str, tuple[bytes, bytes]]  # entity -> its key before and after the tag


class FeastProfileStore:
    """The `ProfileStore` of the running service."""

    def __init__(
        self, connection: Connection, wanted: Sequence[Wanted], max_age_seconds: float
    ) -> None:
        self._connection = connection
        self._max_age_seconds = max_age_seconds
        self._feast = ProfileOnlineStore()
        self._plans = [plan for name in VIEWS if (plan := self._plan(name, wanted)) is not None]
        self._source: _Source | None = None
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
            source = self._source
            reads = [] if source is None else self._reads(source, asked, now_ms)
            text, *rows = await self._call(reads, max(0.0, deadline - loop.time()))
            if source is not None and text == source.text:
                return self._answer(source.marker, asked, rows, now_ms)
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
        self._source = None
        if text is None:
            raise ProfilesUnavailable("empty")
        try:
            marker = Marker.loads(text)
        except ValueError:
            raise ProfilesUnavailable("corrupt") from None
        config = RepoConfig(
            project=PROJECT,
            provider="local",
            registry="registry.db",
            online_store=ProfileOnlineStoreConfig(generation=marker.generation),
            entity_key_serialization_version=3,
        )
        templates = {
            plan.entity: self._feast.key_template(config, plan.entity) for plan in self._plans
        }
        self._source = _Source(text, marker, config, templates)

    def _reads(self, source: _Source, asked: list[tuple[_Plan, str]], now_ms: int) -> list[Command]:
        if is_stale(source.marker, now_ms, self._max_age_seconds):
            return []
        reads: list[Command] = []
        for plan, tag in asked:
            if len(tag) == TAG_CHARACTERS and tag.isascii():
                before, after = source.templates[plan.entity]
                key = before + tag.encode() + after
            else:
                (key,) = self._feast.keys_of(source.config, plan.entity, [tag])
            reads.append(("HMGET", key, *plan.fields))
        return reads

    def _answer(
        self, marker: Marker, asked: list[tuple[_Plan, str]], rows: list[Reply], now_ms: int
    ) -> ProfileAnswer:
        ages = dict.fromkeys([plan.view for plan, _ in asked], age_seconds(marker, now_ms))
        if not rows:
            return ProfileAnswer({}, tuple(ages), ages)
        values: dict[str, Value] = {}
        stale: list[str] = []
        for (plan, _), reply in zip(asked, rows, strict=True):
            if reply[-1] is None:  # the row's time, which every row has
                continue
            try:
                ages[plan.view] = age = now_ms / 1000 - plan.reader.seconds(reply[-1])
                if 0 <= age <= self._max_age_seconds:
                    plan.reader.read(reply, values)
                else:
                    stale.append(plan.view)
            except DecodeError:
                raise ProfilesUnavailable("corrupt") from None
        return ProfileAnswer(values, tuple(stale), ages)

    def _plan(self, name: str, wanted: Sequence[Wanted]) -> _Plan | None:
        rows = [row for row in wanted if row.view == name]
        if not rows:
            return None
        view = VIEWS[name]
        fields = self._feast.fields_of(FEATURE_VIEWS[name], [row.field for row in rows])
        features = [(row.name, view.field(row.field).type) for row in rows]
        return _Plan(name, view.entity, fields, Reader(features))
