"""How do a worker and its shadow process talk?

Through pipes: to the process a length of four bytes and JSON, back a line of JSON. To it:

- `start`: `dsn`, where counts go.
- `sets`: what to ask from here on: `versions`, with `texts` of those that it has not seen; `types`
  of the facts; `stopped` rules.
- `task`: a decision, `task_of` below. `dropped`: a number of tasks that were never sent.

Back: `ready` after `sets`, with the sets that `failed` and why, and the lists that rules ask about
(`listed`); and now and then `done`, the number of tasks worked off so far, and `errors` in them.
Invariant: in each direction the order is kept, so a task is asked of the sets that were last sent.
"""

from __future__ import annotations

import struct
from asyncio import IncompleteReadError, StreamReader
from collections.abc import Mapping
from typing import Any

import orjson

from rules.decision import HitStatus
from service.clock import epoch_ms
from service.shadow.task import ShadowTask

_LENGTH = struct.Struct(">I")


def framed(kind: str, content: Mapping[str, Any]) -> bytes:
    """Return a message to the process; raises TypeError for what JSON cannot say."""
    body = orjson.dumps({"kind": kind, **content})
    return _LENGTH.pack(len(body)) + body


async def read_frame(reader: StreamReader) -> Any:
    """Return the next message; None when the worker has closed the pipe."""
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        return orjson.loads(await reader.readexactly(length))
    except IncompleteReadError:
        return None


def task_of(task: ShadowTask, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return a decision as it is sent; `facts` with those of the lists."""
    decision = task.decision
    return {
        "id": task.entry_id.hex(),
        "at_ms": epoch_ms(task.observed_at),
        "type": task.event_type,
        "facts": facts,
        "score": task.score,
        "gaps": task.gaps,
        "outcome": decision.outcome.value,
        "hits": [hit.rule_id for hit in decision.hits if hit.status is HitStatus.HIT],
        "baseline": task.brain.ruling_for(task.tags).version,
    }
