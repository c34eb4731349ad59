"""The README is run: its commands, its request, its links."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from service.cli import build_app
from service.embedded import EmbeddedServers
from service.settings import Settings
from tests.http_client import Client
from tests.running import environment_of, service_process, settings_on
from tests.served import Served, touchstone

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
_LISTED = README.split("every command:")[1].partition("\n## ")[0]
COMMANDS = re.findall(r"^\| `([a-z ,`A-Z-]+)` \|", _LISTED, re.MULTILINE)


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Served, str, Settings]]:
    """A service as the README starts it."""
    base = tmp_path_factory.mktemp("readme")
    with EmbeddedServers.start(base / "servers") as servers:
        settings = settings_on(servers, base, patient_ms=10_000)
        with service_process(settings, base / "service.log") as (served, key):
            yield served, key, settings


def _command_names() -> list[str]:
    names = [name.strip("` ") for row in COMMANDS for name in row.split(",")]
    return [" ".join(word for word in name.split() if word.islower()) for name in names]


@pytest.mark.parametrize("name", _command_names())
def test_every_command_explains_itself(name: str) -> None:
    """Each command of the README has `--help` and `--var`."""
    words = [*name.split(), "--help"]
    done = CliRunner().invoke(build_app(words), words)
    assert done.exit_code == 0
    assert "--var" in done.output


def test_every_command_is_in_the_readme() -> None:
    """The command line has what the README lists, and `demo`, which is `make run`."""
    every = _commands([])
    for group in ("features", "rules"):  # those with discovered commands
        every[group] = _commands([group])[group]
    assert set(_leaves(every)) - {"demo"} == set(_command_names())


def _leaves(commands: Mapping[str, Any]) -> Iterator[str]:
    for name, command in commands.items():
        inner = getattr(command, "commands", None)
        yield from [name] if inner is None else (f"{name} {leaf}" for leaf in _leaves(inner))


def _commands(words: list[str]) -> dict[str, Any]:
    return dict(typer.main.get_command(build_app(words)).commands)  # type: ignore[attr-defined]


async def test_the_request_of_the_readme_is_answered(
    running: tuple[Served, str, Settings],
) -> None:
    """The curl example, sent as it stands, gets a decision."""
    served, key, _ = running
    [body] = re.findall(r"-d '\n(\{.*?\})'", README, re.DOTALL)
    async with Client(key, port=served.port) as client:
        answer = await client.score(json.loads(body))
    assert answer.status == 200, answer.content
    assert answer.json["degraded"] == []


def test_the_key_of_the_readme_works(running: tuple[Served, str, Settings]) -> None:
    """`keys create`, as it stands in the README, prints a key alone, and the key works at once."""
    served, _, settings = running
    [line] = re.findall(r"^\.venv/bin/touchstone (keys create .*)$", README, re.MULTILINE)
    command = touchstone(*shlex.split(line), "--var", str(settings.var))
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env=environment_of(settings)
    )
    key = done.stdout.strip()
    assert re.fullmatch(r"ts_[a-z0-9]+_[a-z0-9]+", key)
    [body] = re.findall(r"-d '\n(\{.*?\})'", README, re.DOTALL)
    assert asyncio.run(_status(served, key, json.loads(body))) == 200


async def _status(served: Served, key: str, body: dict[str, Any]) -> int:
    async with Client(key, port=served.port) as client:
        return (await client.score(body)).status


def test_the_make_targets_exist() -> None:
    """Every `make target` that the documentation names is a target."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in ROOT.glob("**/README.md"):
        if ".venv" not in page.parts:
            named = set(re.findall(r"`?make ([a-z]+)\b`", page.read_text(encoding="utf-8")))
            assert named <= targets, page


def test_every_link_leads_somewhere() -> None:
    """Every relative link and every `code path` with a folder in the documentation exists."""
    for page in ROOT.glob("**/README.md"):
        if ".venv" in page.parts or "node_modules" in page.parts:
            continue
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page}: {link}"
