"""What was found in the log, what does that prove, and what does it not prove?

Invariant: a report says nothing is proven that was not looked at.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

import yaml

from service.counted import filled

Kind = Literal["invalid", "gap", "incomplete", "untrusted"]
Language = Literal["en", "zh"]

PROVEN, INVALID, GAP, INCOMPLETE, UNTRUSTED = 0, 2, 3, 4, 5
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
    """The outcome of a verification. At most `FINDINGS_KEPT` findings are kept, all are counted.

    `placed`, `signed` and `waiting` count entries: in the tree, under the largest signed checkpoint
    and in the queue. `lost`: the largest tree that was signed under an earlier name of the log and
    is not the beginning of this one.
    """

    entries: int = 0
    writers: int = 0
    superseded: int = 0
    without_subject_key: int = 0
    retained: int = 0
    placed: int = 0
    signed: int = 0
    waiting: int = 0
    checkpoints: int = 0
    cosigned: int = 0
    unknown_witnesses: int = 0
    unknown_keys: int = 0
    key_from_database: bool = False
    lost: int = 0
    with_memory: bool = False
    with_since: bool = False
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
        """Return 0 proven, 2 invalid, 3 gap, 5 untrusted key, 4 incomplete; the gravest counts."""
        codes = {"invalid": INVALID, "gap": GAP, "untrusted": UNTRUSTED, "incomplete": INCOMPLETE}
        return next((code for kind, code in codes.items() if kind in self.counts), PROVEN)

    def proven(self, language: Language = "en") -> list[str]:
        """Return what holds."""
        codes = {
            "proven_headers": {"header", "column", "log"},
            "proven_blocks": {"header", "block_hash", "block_extra", "block_missing"},
            "proven_sequences": {"hole", "tail", "writer_empty", "writer_unknown", "repeat"},
            "proven_tree": {
                "leaf_hole", "leaf_entry", "leaf_hash", "leaf_order", "peaks", "node", "nodes",
                "queue_empty", "queue_placed", "unplaced",
            },
        }  # fmt: skip
        if self.signed:
            codes["proven_signed"] = codes["proven_tree"] | {
                "checkpoint", "checkpoint_row", "checkpoint_root", "checkpoint_ahead", "origin",
                "checkpoint_key", "signer_key", "unsigned",
            }  # fmt: skip
        if self.with_since:
            codes["proven_since"] = codes["proven_tree"] | {
                "checkpoint_root", "checkpoint_ahead", "checkpoint_key", "since_lost",
            }  # fmt: skip
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
        unsigned = self.placed - self.signed + self.waiting
        lines = [
            *([_text("open_unsigned", language, unsigned)] if unsigned else []),
            _text("open_tail", language, self.open_writers),
            _text("open_times", language),
            _text("open_search", language),
        ]
        if self.key_from_database:
            lines.append(_text("open_key", language))
        if not (self.with_memory or self.with_since):
            lines.append(_text("open_cut", language))
        if not self.cosigned:
            lines.append(_text("open_split", language))
        if self.unknown_keys or self.unknown_witnesses:
            numbers = (self.unknown_keys, self.unknown_witnesses)
            lines.append(_text("open_unknown", language, *numbers))
        if self.lost:
            lines.append(_text("open_lost", language, self.lost))
        if self.retained:
            lines.append(_text("open_retained", language, self.retained))
        if not self.with_keys:
            lines.append(_text("open_sealed", language))
        if self.without_subject_key:
            lines.append(_text("open_erased", language, self.without_subject_key))
        if not self.with_spool:
            lines.append(_text("open_spool", language))
        return lines

    def render(self, language: Language = "en") -> str:
        """Return the whole report as text."""
        signed = (self.placed, self.checkpoints, self.signed, self.waiting)
        lines = [
            _text("summary", language, self.entries, self.writers),
            _text("summary_tree", language, *signed),
        ]
        if self.superseded:
            lines.append(_text("superseded", language, self.superseded))
        lines += [finding.text(language) for finding in self.findings]
        if (more := sum(self.counts.values()) - len(self.findings)) > 0:
            lines.append(_text("more", language, more))
        lines += [f"+ {line}" for line in self.proven(language)]
        lines += [f"? {line}" for line in self.not_proven(language)]
        return "\n".join(lines)


def _text(code: str, language: Language, *details: object) -> str:
    return filled(report_texts()[code][language], *details)


@cache
def report_texts() -> dict[str, dict[Language, str]]:
    """Return every text of a report, by code and language."""
    texts: dict[str, dict[Language, str]] = yaml.safe_load(TEXTS.read_text(encoding="utf-8"))
    return texts
