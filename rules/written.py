"""Where in the file does a character of an expression come from?

A rule's expression may be put together: parameters filled in, cells of a table joined by `&&`, a
scope before it. Invariant: every character of the text has a place in the file, its own where it
was written there, else that of what it stands for.

>>> from rules.document import File, Node
>>> node = Node(File("a.yaml", "when: x > 1"), "x > 1", 1, 7, 6, 11)
>>> whole = Written.of("(", node) + Written.copied(node) + Written.of(")", node)
>>> whole.text, whole.place(1, 6)
('(x > 1)', (1, 11))
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rules.diagnostic import Diagnostic
from rules.document import Node


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of the text: of `node`, from its character `at` on.

    A stretch that was not written so (`is_copied` false) stands for the character `at`.
    """

    text: str
    node: Node
    at: int = 0
    is_copied: bool = True


@dataclass(frozen=True, slots=True)
class Written:
    """A text, and where it comes from."""

    pieces: tuple[Piece, ...]

    @classmethod
    def copied(cls, node: Node) -> Written:
        """Return a node's text as it stands in the file."""
        return cls((Piece(str(node.value), node),))

    @classmethod
    def of(cls, text: str, node: Node, at: int = 0) -> Written:
        """Return a text that stands for a node's character `at`."""
        return cls((Piece(text, node, at, is_copied=False),))

    @classmethod
    def joined(cls, parts: Iterable[Written]) -> Written:
        """Return the parts, one after the other."""
        return cls(tuple(piece for part in parts for piece in part.pieces))

    def __add__(self, other: Written) -> Written:
        return Written(self.pieces + other.pieces)

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(piece.text for piece in self.pieces)

    def place(self, line: int, column: int) -> tuple[int, int]:
        """Return the file's line and column of a place in the text, both counted from 1."""
        piece, within = self._find(line, column)
        return _place(piece, within)

    def diagnose(
        self, place: tuple[int, int], code: str, message: str, hint: str = ""
    ) -> Diagnostic:
        """Return a diagnostic at a place (line, column) of the text."""
        piece, within = self._find(*place)
        return piece.node.file.diagnose(*_place(piece, within), code, message, hint)

    def _find(self, line: int, column: int) -> tuple[Piece, int]:
        lines = self.text.split("\n")
        wanted = sum(len(text) + 1 for text in lines[: line - 1]) + column - 1
        start = 0
        for piece in self.pieces:
            if wanted < start + len(piece.text):
                return piece, wanted - start
            start += len(piece.text)
        last = self.pieces[-1]
        return last, wanted - (start - len(last.text))


def _place(piece: Piece, within: int) -> tuple[int, int]:
    if not isinstance(piece.node.value, str):
        return piece.node.line, piece.node.column
    at = piece.at + within if piece.is_copied else piece.at
    before = piece.node.value[:at]
    line, column = before.count("\n") + 1, at - (before.rfind("\n") + 1) + 1
    return piece.node.place_of(line, column)
