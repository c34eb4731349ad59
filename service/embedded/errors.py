"""What can go wrong with the embedded servers. Each text is one line that a user can act on."""

from __future__ import annotations

from pathlib import Path


class EmbeddedError(Exception):
    """An embedded server cannot be had."""

    code = "embedded_failed"


class VarInUse(EmbeddedError):
    """Another process holds the data directory."""

    code = "var_in_use"

    def __init__(self, var: Path, pid: int | None) -> None:
        who = f"process {pid}" if pid else "another process"
        super().__init__(f"{var} is in use by {who}: stop it, or choose another --var")
        self.pid = pid
