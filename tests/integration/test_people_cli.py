"""The first people on the command line: two admins let an analyst in, and all of it is recorded."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.launch import RunningService, running_service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with running_service(tmp_path_factory.mktemp("people") / "var", workers=1) as running:
        yield running


def touchstone(
    service: RunningService, *words: str, key: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run the installed command beside the service."""
    return subprocess.run(
        [str(Path(sys.executable).with_name("touchstone")), *words, "--var", str(service.var)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "200", "TOUCHSTONE_API_KEY": key},
    )


def key_of(service: RunningService, person: str) -> str:
    """Make a key of this person."""
    made = touchstone(service, "keys", "create", "--person", person)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def said(service: RunningService, key: str, *words: str) -> str:
    """Run `touchstone people ...` with a key and return what it says."""
    done = touchstone(service, "people", *words, key=key)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(service: RunningService, key: str, *words: str) -> str:
    """Run `touchstone people ...` with a key that may not, and return the error."""
    done = touchstone(service, "people", *words, key=key)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    return done.stderr


def test_two_admins_let_an_analyst_in(service: RunningService) -> None:
    """Nobody exists; ana and bo are made; ana asks, bo approves, cy's key shows it."""
    assert "There is nobody" in touchstone(service, "keys", "create", "--person", "ana").stderr
    assert "Two admins are needed" in refused(service, "", "init", "ana")
    assert "Next: touchstone keys create --person ana" in said(service, "", "init", "ana", "bo")
    assert "There are people already" in refused(service, "", "init", "ana", "bo")
    ana, bo = key_of(service, "ana"), key_of(service, "bo")
    wish = ["request", "cy", "--role", "analyst", "--event-types", "checkout", "--reason", "[new]"]
    assert "'analyst'" in refused(service, ana, *wish, "--role", "wizard")
    asked = said(service, ana, *wish)
    number = asked.split(":")[0].removeprefix("request ")
    assert f"touchstone people approve {number}" in asked
    listed = said(service, bo, "requests")
    assert "event types checkout" in listed
    assert "[new]" in listed
    assert "Nobody decides on what they asked for." in refused(service, ana, "approve", number)
    assert said(service, bo, "approve", number) == "approved: cy, analyst\n"
    assert "It was approved by bo" in refused(service, bo, "refuse", number)
    cy = key_of(service, "cy")
    deadline = time.monotonic() + 10
    while "rules:write" not in said(service, cy, "me"):
        assert time.monotonic() < deadline
    assert "event types checkout" in said(service, cy, "me")
    assert "may not do this" in refused(service, cy, "list")
    assert "cy" in said(service, bo, "list")
    assert "an API key is needed" in refused(service, "", "list")
    keys = touchstone(service, "keys", "list").stdout
    assert all(key.split("_")[1] in keys for key in (ana, bo, cy))
    assert not any(key.split("_")[2] in keys for key in (ana, bo, cy))


def test_what_is_done_on_the_machine_is_recorded(service: RunningService) -> None:
    """A key made and revoked leaves two entries, and the ledger verifies."""
    before = _entries(service)
    made = touchstone(service, "keys", "create", "--name", "shop", "--scopes", "score")
    assert touchstone(service, "keys", "revoke", made.stdout.strip()).returncode == 0
    assert _entries(service) == before + 2
    nothing = touchstone(service, "keys", "revoke", "nobody")
    assert (
        nothing.stderr == "error: there is no API key nobody; `touchstone keys list` shows them\n"
    )
    assert _entries(service) == before + 2


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--name", "k", "--scopes", "rules:write"], "give --person"),
        (["--name", "k", "--scopes", "score", "--event-types", "chekout"], "no event type chekout"),
        (["--scopes", "score"], "needs a name"),
        (["--name", "k"], "needs scopes"),
    ],
)
def test_keys_that_cannot_be(service: RunningService, words: list[str], expected: str) -> None:
    """The error is one line that helps, and no key is made."""
    done = touchstone(service, "keys", "create", *words)
    assert (done.returncode, done.stdout) == (1, "")
    assert expected in done.stderr
    assert done.stderr.count("\n") == 1


def _entries(service: RunningService) -> int:
    verified = touchstone(service, "ledger", "verify")
    assert verified.returncode in (0, 4), verified.stdout
    found = re.search(r"([0-9,]+) entr(y|ies)\b", verified.stdout)
    assert found is not None, verified.stdout
    return int(found[1].replace(",", ""))
