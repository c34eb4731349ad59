"""Which person is a command about? Asked for at the terminal, or read from standard input.

Invariant: an identifier is never an argument, so neither a shell nor a list of processes has it.
"""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

PROMPT = "kind=value (empty: done)"
HELP = (
    "Identifiers are asked for, or read from standard input: one a line, as kind=value, such as "
    "user=u-9 or email=li@example.com. Name all that the shop knows of the person."
)
Purpose = Annotated[str, typer.Option(help="Why. It is sealed in the record")]
Number = Annotated[int, typer.Argument(metavar="NUMBER", help="Of the request")]


def read_identifiers() -> list[dict[str, str]]:
    """Return the identifiers that somebody types or pipes in; raises `typer.BadParameter`."""
    if sys.stdin.isatty():
        lines = []
        while line := typer.prompt(PROMPT, default="", show_default=False, err=True).strip():
            lines.append(line)
    else:
        lines = [line.strip() for line in sys.stdin if line.strip()]
    found = []
    for number, line in enumerate(lines, 1):
        kind, equals, value = line.partition("=")
        if not equals or not value.strip():  # the line is not repeated: it may be an identifier
            raise typer.BadParameter(f"line {number} is not kind=value, such as user=u-9")
        found.append({"kind": kind.strip(), "value": value.strip()})
    if not found:
        raise typer.BadParameter("nobody is named: give lines of kind=value")
    return found


def told(request: dict[str, Any]) -> str:
    """Return a request in one line."""
    kinds = ", ".join(request["identifiers"])
    by = f" by {request['decided_by']}" if request["decided_by"] else ""
    counts = ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in request["counts"].items())
    parts = (
        f"{request['id']:>5}  {request['kind']:<8} {request['state']}{by}",
        f"asked by {request['requested_by']} at {request['requested_at'][:16]}",
        kinds and f"({kinds})",
        counts and f"erased: {counts}",
    )
    return "  ".join(part for part in parts if part)
