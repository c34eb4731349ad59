"""Where does a command look for the service, and what does it say when there is none?"""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from service.cli.api_client import ApiClient, ApiRefused
from service.settings import Settings


def test_no_service_on_a_directory_that_had_one(tmp_path: Path) -> None:
    """The key is not shown to whatever else answers on the usual port."""
    (tmp_path / "run").mkdir()
    with pytest.raises(ApiRefused, match=f"no service runs on {tmp_path}: start .* or give --url"):
        ApiClient(Settings(var=tmp_path), None, "key")


def test_nothing_answers(tmp_path: Path) -> None:
    """The address that was tried is named."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        client = ApiClient(Settings(var=tmp_path), url, "key")
        with pytest.raises(ApiRefused, match=f"nothing answers at {url}"):
            client.get("/livez")
