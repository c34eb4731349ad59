"""Where do builds of profiles lie, and which is which?

`VAR/profiles/builds/NAME/` is one build and a Feast repository of its own: Parquet rows of each
view, `build.json`, `feature_store.yaml`, `registry.db`. `VAR/profiles/current` is a link to the
build that decisions read; `VAR/profiles/docs/` is what the gates found, for a browser.
Invariant: `current` only ever points at a build that passed its gates and is complete online.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from training.profiles.errors import NoBuild

BUILDS_KEPT = 3
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class ViewCounts:
    """How much one view holds: profiles at the build's time, and rows for training in all."""

    profiles: int
    rows: int


@dataclass(frozen=True, slots=True)
class Build:
    """`build.json`: what a build was made of.

    - `as_of_ms`: only events observed before this time are in it.
    - `newest_ms`: when the latest of them was observed.
    - `created_ms`: when the command ran.
    - `labels`: number of chargebacks known by then, None without a file of labels.
    """

    name: str
    as_of_ms: int
    newest_ms: int
    created_ms: int
    events: int
    labels: int | None
    views: dict[str, ViewCounts]


class Layout:
    """The directory of profiles."""

    def __init__(self, var: Path) -> None:
        self.root = var.expanduser().resolve() / "profiles"
        self.builds = self.root / "builds"
        self.docs = self.root / "docs"
        self.current_link = self.root / "current"

    def directory(self, name: str) -> Path:
        """Return where a build lies."""
        return self.builds / name

    def new_name(self, as_of: datetime, created: datetime) -> str:
        """Return a name for a build that sorts by time and says for when it is."""
        made = created.astimezone(UTC).strftime("%Y%m%dT%H%M%S%f")[:-3]
        return f"{as_of.astimezone(UTC):%Y%m%d}-{made}"

    def save(self, build: Build, directory: Path) -> None:
        """Write `build.json`, the last file of a build."""
        text = json.dumps({"format": _FORMAT, **asdict(build)}, indent=1, sort_keys=True)
        part = directory / "build.json.part"
        part.write_text(text + "\n", encoding="utf-8")
        part.replace(directory / "build.json")

    def load(self, name: str) -> Build:
        """Read a build; raises `NoBuild`."""
        path = self.directory(name) / "build.json"
        try:
            values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise NoBuild(f"there is no complete build of profiles in {path.parent}") from None
        values.pop("format")
        values["views"] = {view: ViewCounts(**counts) for view, counts in values["views"].items()}
        return Build(**values)

    def names(self) -> list[str]:
        """Return the names of the complete builds, oldest first."""
        return sorted(
            (path.parent.name for path in self.builds.glob("*/build.json")),
            key=lambda name: name.partition("-")[2],
        )

    def newest(self) -> Build:
        """Return the build made last; raises `NoBuild`."""
        names = self.names()
        if not names:
            raise NoBuild(
                "there are no profiles yet: `touchstone profiles build --history FILE` makes them"
            )
        return self.load(names[-1])

    def current(self) -> Build | None:
        """Return the build that decisions read, None before the first."""
        try:
            return self.load(self.current_link.readlink().name)
        except (OSError, NoBuild):
            return None

    def make_current(self, name: str) -> None:
        """Point `current` at a build, in one step."""
        part = self.root / "current.part"
        part.unlink(missing_ok=True)
        part.symlink_to(Path("builds") / name)
        os.replace(part, self.current_link)  # noqa: PTH105 - Path.replace would follow the link

    def drop_old(self) -> None:
        """Remove all but the last builds and the current one, and what was never finished."""
        current = self.current()
        kept = set(self.names()[-BUILDS_KEPT:]) | ({current.name} if current else set())
        for directory in self.builds.iterdir():
            if directory.name not in kept:
                shutil.rmtree(directory)
