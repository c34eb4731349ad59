"""Which servers does Touchstone bring along? Valkey and PostgreSQL, from wheels.

Invariant: everything is under one directory, used by at most one process at a time, and no server
outlives the process that started it.
"""

from __future__ import annotations

from service.embedded.errors import EmbeddedError, VarInUse
from service.embedded.servers import EmbeddedServers, ServerUrls, attach_or_start

__all__ = ["EmbeddedError", "EmbeddedServers", "ServerUrls", "VarInUse", "attach_or_start"]
