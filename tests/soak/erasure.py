"""1,000 of 10,000 persons erased in a running service: nothing of theirs left, all else intact."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from service.embedded import EmbeddedServers
from tests.erasures import Figures, erase_and_look, make_persons
from tests.rights import desks_of
from tests.running import service_here, settings_on


def main(arguments: Sequence[str]) -> int:
    """Run the proof; print its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--persons", type=int, default=10_000)
    parser.add_argument("--erased", type=int, default=1_000)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="erasure-") as directory:
        figures = asyncio.run(_run(Path(directory), options.persons, options.erased))
    for name, value in figures._asdict().items():
        _say(f"{name.replace('_', ' ')}: {value:,}")
    return int(any(figures[4:]))


async def _run(base: Path, count: int, erase: int) -> Figures:
    with EmbeddedServers.start(base / "servers") as servers:
        settings = settings_on(servers, base, patient_ms=10_000)
        async with service_here(settings) as here, desks_of(here) as desks:
            began = time.monotonic()
            persons = await make_persons(here, count)
            _say(f"{count:,} persons were seen ({time.monotonic() - began:.0f} s)")
            erased = persons[:: max(1, count // erase)][:erase]
            began = time.monotonic()
            figures = await erase_and_look(here, desks, persons, erased, base / "signer", _say)
            _say(f"erased and looked for ({time.monotonic() - began:.0f} s)")
            return figures


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
