"""What was found in the log, what does that prove, and what does it not prove?

Invariant: a report says nothing is proven that was not looked at.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

import yaml

Kind = Literal["invalid", "gap", "incomplete"]
Language = Literal["en", "zh"]

PROVEN, INVALID, GAP, INCOMPLETE = 0, 2, 3, 4
FINDINGS_KEPT = 100
TEXTS = Path(__file__).with_name("report.yaml")


class Finding(NamedTuple):
    """Something that should not be. `where` names the entry, writer or file."""

    kind: Kind
    code: str
    where: str
    details: tuple[object, ...] = ()

    def text(self, language: Language = "en") -> str:
        """Return the finding as a line for people."""
        return f"{self.kind}: {self.where}: {_text(self.code, language, *self.details)}"


@dataclass(slots=True)
class Report:
    """The outcome of a verification. At most `FINDINGS_KEPT` findings are kept, all are counted."""

    entries: int = 0
    writers: int = 0
    superseded: int = 0
    without_subject_key: int = 0
    open_writers: int = 0
    findings: list[Finding] = field(default_factory=list)
    counts: dict[Kind, int] = field(default_factory=dict)
    found_codes: set[str] = field(default_factory=set)
    with_keys: bool = False
    with_spool: bool = False

    def add(self, kind: Kind, code: str, where: str, *details: object) -> None:
        """Note a finding."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        self.found_codes.add(code)
        if len(self.findings) < FINDINGS_KEPT:
            self.findings.append(Finding(kind, code, where, details))

    @property
    def exit_code(self) -> int:
        """Return 0 proven, 2 invalid, 3 gap, 4 incomplete; the gravest counts."""
        if self.counts.get("invalid"):
            return INVALID
        if self.counts.get("gap"):
            return GAP
        return INCOMPLETE if self.counts.get("incomplete") else PROVEN

    def proven(self, language: Language = "en") -> list[str]:
        """Return what holds."""
        codes = {
            "proven_headers": {"header", "column", "log"},
            "proven_blocks": {"header", "block_hash", "block_extra", "block_missing"},
            "proven_sequences": {"hole", "tail", "writer_empty", "writer_unknown", "repeat"},
        }
        if self.with_keys:
            codes["proven_sealed"] = {
                "header", "block_sealed", "key_missing", "key_broken", "tags", "claims",
                "event_key_lost",
            }  # fmt: skip
        if self.with_spool:
            codes["proven_spool"] = {"spool_waits", "spool_damaged"}
        return [
            _text(code, language)
            for code, against in codes.items()
            if not against & self.found_codes
        ]

    def not_proven(self, language: Language = "en") -> list[str]:
        """Return what was not shown, whatever was found."""
        lines = [
            _text("open_order", language),
            _text("open_tail", language, self.open_writers),
            _text("open_times", language),
        ]
        if not self.with_keys:
            lines.append(_text("open_sealed", language))
        if self.without_subject_key:
            lines.append(_text("open_erased", language, self.without_subject_key))
        if not self.with_spool:
            lines.append(_text("open_spool", language))
        return lines

    def render(self, language: Language = "en") -> str:
        """Return the whole report as text."""
        lines = [_text("summary", language, self.entries, self.writers)]
        if self.superseded:
            lines.append(_text("superseded", language, self.superseded))
        lines += [finding.text(language) for finding in self.findings]
        if (more := sum(self.counts.values()) - len(self.findings)) > 0:
            lines.append(_text("more", language, more))
        lines += [f"+ {line}" for line in self.proven(language)]
        lines += [f"? {line}" for line in self.not_proven(language)]
        return "\n".join(lines)


def _text(code: str, language: Language, *details: object) -> str:
    return report_texts()[code][language].format(*details)


@cache
def report_texts() -> dict[str, dict[Language, str]]:
    """Return every text of a report, by code and language."""
    texts: dict[str, dict[Language, str]] = yaml.safe_load(TEXTS.read_text(encoding="utf-8"))
    return texts
