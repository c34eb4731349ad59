"""What ran here last, for a start while PostgreSQL is away?

One file, `VAR/rules/deployed.json`, written whole or not at all, with the texts of every set that
runs. Invariant: what is read is what its versions say, or nothing.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile

import orjson

from rules.errors import ContentError
from rules.files import RuleSetFiles
from service.live.wanted import Wanted

log = logging.getLogger(__name__)

FORMAT = "touchstone-deployed/1"


class DeployedCache:
    """The file under one VAR; all workers write the same."""

    def __init__(self, var: Path) -> None:
        self._path = var / "rules" / "deployed.json"

    def write(self, wanted: Wanted, sets: Mapping[str, RuleSetFiles]) -> None:
        """Keep what runs. A disk that is full costs the copy, nothing else."""
        content = orjson.dumps(
            {
                "format": FORMAT,
                **wanted._asdict(),
                "stopped": sorted(wanted.stopped),
                "sets": {version: dict(sets[version].texts) for version in sorted(sets)},
            },
            option=orjson.OPT_INDENT_2,
        )
        try:
            if self._path.is_file() and self._path.read_bytes() == content:
                return
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with NamedTemporaryFile(dir=self._path.parent, delete=False) as file:
                try:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                    Path(file.name).replace(self._path)
                except BaseException:
                    with contextlib.suppress(OSError):
                        Path(file.name).unlink()
                    raise
        except OSError as error:
            log.warning("%s is not up to date: %s", self._path, error.strerror)

    def read(self) -> tuple[Wanted, dict[str, RuleSetFiles]] | None:
        """Return what ran here last and its sets; None when there is nothing that is whole."""
        try:
            content = orjson.loads(self._path.read_bytes())
            if content.pop("format") != FORMAT:
                return None
            sets = {
                version: RuleSetFiles.of(texts) for version, texts in content.pop("sets").items()
            }
            lists = {name: content.pop(name) for name in ("shadows", "stopped")}
            wanted = Wanted(
                **content, shadows=tuple(lists["shadows"]), stopped=frozenset(lists["stopped"])
            )
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ContentError) as error:
            log.warning("%s cannot be used: %s", self._path, type(error).__name__)
            return None
        if any(files.version != version for version, files in sets.items()):
            log.warning("%s was changed: it is not used", self._path)
            return None
        if not sets.keys() >= set(wanted.versions):
            return None
        return wanted, sets
