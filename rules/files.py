"""Which files make a rule set, and which version of it is this?

Packs, decision tables, the policy, the reason texts and, where it needs any, series of its own.
Invariant: the version is the SHA-256 of the files' names and bytes, so that two sets with one
version are the same to the letter, comments included.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from rules.diagnostic import Diagnostic
from rules.errors import RuleSetInvalid
from rules.limits import MAX_FILE_BYTES, MAX_FILES

SHIPPED = Path(__file__).parent
POLICY, REASONS, SERIES = "policy.yaml", "reasons.yaml", "series.yaml"
_NAME = re.compile(r"(packs/[a-z0-9_-]{1,60}\.yaml|tables/[a-z0-9_-]{1,60}\.csv)")
_SINGLE = (POLICY, REASONS, SERIES)


@dataclass(frozen=True, slots=True)
class RuleSetFiles:
    """A rule set as it was written: file name -> text, and the version of exactly that."""

    texts: Mapping[str, str]
    version: str

    @classmethod
    def of(cls, texts: Mapping[str, str]) -> RuleSetFiles:
        """Return the files with their version; raise RuleSetInvalid for names that mean nothing."""
        problems = [
            Diagnostic(name[:80], 1, 1, "file-name", "no file of a rule set has this name", _NAMES)
            for name in sorted(texts)
            if name not in _SINGLE and _NAME.fullmatch(name) is None
        ]
        if len(texts) > MAX_FILES:
            message = f"a rule set has {MAX_FILES} files at most, not {len(texts)}"
            problems.append(Diagnostic("rule set", 1, 1, "too-many-files", message))
        problems += [
            Diagnostic(
                name[:80], 1, 1, "too-long", f"the file has more than {MAX_FILE_BYTES} bytes"
            )
            for name, text in sorted(texts.items())
            if len(text.encode("utf-8", "surrogatepass")) > MAX_FILE_BYTES
        ]
        for needed in (POLICY, REASONS):
            if needed not in texts:
                problems.append(Diagnostic(needed, 1, 1, "no-file", f"there is no {needed}"))
        if not any(name.startswith("packs/") for name in texts):
            problems.append(Diagnostic("packs/", 1, 1, "no-packs", "there is no packs/*.yaml"))
        if problems:
            raise RuleSetInvalid(problems)
        digests = {
            name: hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
            for name, text in texts.items()
        }
        content = json.dumps(digests, sort_keys=True, separators=(",", ":"))
        ordered = {name: texts[name] for name in sorted(texts)}
        return cls(MappingProxyType(ordered), hashlib.sha256(content.encode()).hexdigest())

    @classmethod
    def load(cls, directory: Path = SHIPPED) -> RuleSetFiles:
        """Read a directory with packs/, tables/, policy.yaml, reasons.yaml, series.yaml.

        A directory without a policy or without reason texts has the shipped ones. Raises
        `RuleSetInvalid`.
        """
        paths = [
            *sorted(directory.glob("packs/*.yaml")),
            *sorted(directory.glob("tables/*.csv")),
            *(directory / name for name in _SINGLE if (directory / name).is_file()),
        ]
        texts = {
            path.relative_to(directory).as_posix(): path.read_bytes().decode("utf-8", "replace")
            for path in paths
        }
        for name in (POLICY, REASONS):
            texts.setdefault(name, (SHIPPED / name).read_bytes().decode("utf-8"))
        return cls.of(texts)

    def write(self, directory: Path) -> None:
        """Write the files, byte for byte; what else is in the directory stays."""
        for name, text in self.texts.items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode("utf-8", "surrogatepass"))

    @property
    def packs(self) -> dict[str, str]:
        """File name (`coupons.yaml`) -> text of the packs."""
        return {
            name.removeprefix("packs/"): text
            for name, text in self.texts.items()
            if name.startswith("packs/")
        }

    @property
    def tables(self) -> dict[str, str]:
        """File name (`limits.csv`) -> text of the decision tables."""
        return {
            name.removeprefix("tables/"): text
            for name, text in self.texts.items()
            if name.startswith("tables/")
        }

    @property
    def series(self) -> str | None:
        """Text of the series that the set declares for itself, None for most."""
        return self.texts.get(SERIES)


_NAMES = "packs/NAME.yaml, tables/NAME.csv, policy.yaml, reasons.yaml, series.yaml"
