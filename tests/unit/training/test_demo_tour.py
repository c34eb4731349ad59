"""What the demo prints can be pasted as a whole: nothing asks back, every option exists."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from service.cli import build_app
from training.demo_tour import tour

PEOPLE = {"ana": "ts_a", "bo": "ts_b", "cy": "ts_c", "di": "ts_d"}
PROGRAM = "/opt/bin/touchstone"


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tour of a demo in a directory whose name has a space."""
    monkeypatch.setattr(sys, "argv", [PROGRAM, "demo"])
    return tour(PEOPLE, Path("/srv/my shop/var")).splitlines()


def test_the_directory_survives_the_shell(lines: list[str]) -> None:
    """A name with a space is one word."""
    assert shlex.split("\n".join(lines)).count("TOUCHSTONE_VAR=/srv/my shop/var") == 1


def test_every_command_exists_with_its_options(lines: list[str]) -> None:
    """What is printed is what the command line takes, and no question waits for an answer."""
    commands = [shlex.split(line)[1:] for line in lines if line.startswith(PROGRAM)]
    assert len(commands) > 10
    for words in commands:
        options = [word for word in words if word.startswith("--")]
        name = words[: 3 if words[1] == "export" else 2]
        done = CliRunner().invoke(
            build_app(name), [*name, "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"}
        )
        assert done.exit_code == 0, done.output
        assert all(option in done.output for option in options), words
        assert ("--yes" in done.output) == ("--yes" in words), words


def test_nobody_is_invented() -> None:
    """Where the demo made no people, it names none of their commands."""
    assert tour({}, Path("var")) == ""
    assert "ledger" not in tour({"ana": "a", "bo": "b"}, Path("var"))
