"""How is one problem in a rules file shown to its author?

Invariant: a diagnostic always names file, line and column, and the caret stands under the
character that it names, wide (中文) characters included.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True, order=True)
class Diagnostic:
    """One problem; `line` and `column` count from 1, `source` is the text of that line.

    An error is certainly wrong, and nothing with an error is loaded. A warning is what its author
    should look at, and stops nothing.
    """

    file: str
    line: int
    column: int
    code: str
    message: str
    hint: str = ""
    source: str = ""
    severity: Severity = "error"

    @property
    def is_error(self) -> bool:
        """Whether a rule set with this problem is refused."""
        return self.severity == "error"

    def as_warning(self) -> Diagnostic:
        """Return the same as something to look at."""
        return replace(self, severity="warning")

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


def render(diagnostics: Iterable[Diagnostic]) -> str:
    """Return all problems as text for a terminal, in file order, with a count at the end."""
    ordered = sorted(diagnostics)
    if not ordered:
        return "no problems\n"
    errors = sum(found.is_error for found in ordered)
    counts = [_count(errors, "problem")] if errors else []
    if errors < len(ordered):
        counts.append(_count(len(ordered) - errors, "warning"))
    return "\n".join(map(_render_one, ordered)) + f"\n{', '.join(counts)}\n"


def errors_of(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Return what is certainly wrong, without the warnings."""
    return [found for found in diagnostics if found.is_error]


def _count(number: int, word: str) -> str:
    return f"{number} {word}" + ("" if number == 1 else "s")


def _render_one(found: Diagnostic) -> str:
    mark = "" if found.is_error else "warning, "
    lines = [f"{found} [{mark}{found.code}]"]
    if found.source.strip():
        number = str(found.line)
        lines.append(f"  {number} | {found.source}")
        lines.append(f"  {' ' * len(number)} | {_caret(found.source, found.column)}")
    if found.hint:
        lines.append(f"  hint: {found.hint}")
    return "\n".join(lines) + "\n"


def _caret(source: str, column: int) -> str:
    before = source[: column - 1].ljust(column - 1)
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in before)
    return "".join("\t" if character == "\t" else " " for character in before) + " " * wide + "^"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a hint that names up to three known words near `word`, or an empty text.

    >>> did_you_mean("outcom", ["outcome", "owner"])
    "did you mean 'outcome'?"
    >>> did_you_mean("zzz", ["outcome"])
    ''
    """
    near = nearest(word, sorted(known))
    return f"did you mean {' or '.join(repr(found) for found in near)}?" if near else ""


def nearest(word: str, known: Sequence[str]) -> list[str]:
    """Return up to three known words, the nearest first.

    A dotted or underscored name is also compared by the words that it is made of, for a wrong
    window or a swapped word is the usual slip in a long name.
    """
    close = difflib.get_close_matches(word, known, n=3, cutoff=0.72)
    if close:
        return close
    parts = set(word.replace(".", "_").split("_"))
    by_words = sorted(
        known, key=lambda name: (-len(parts & set(name.replace(".", "_").split("_"))), name)
    )
    shared = [
        name
        for name in by_words
        if len(parts & set(name.replace(".", "_").split("_"))) >= max(2, len(parts) - 1)
    ]
    return shared[:3]
