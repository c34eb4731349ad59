"""What is in a rule set, is it right, and what does it change?

These questions may take seconds of CPU, so they are asked of a child process while the service
answers events: `python -m service.rule_sets.examination` reads a request on standard input and
writes the answer. Invariant: the child has no more time and memory than here, and no secret.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from features.catalog import Catalog, CatalogError
from rules.errors import ContentError, ParameterRefused
from rules.files import RuleSetFiles
from rules.tuning import set_parameter
from service.rule_sets.checked import answers, check
from service.rule_sets.difference import difference
from service.rule_sets.parts import parts_of

Answer = dict[str, Any]
CPU_SECONDS = 60
MEMORY_BYTES = 4 << 30


def examine(request: Mapping[str, Any]) -> Answer:
    """Answer a request: `verb`, `files`, and what the verb needs beside them."""
    files = RuleSetFiles.of(request["files"])
    return _VERBS[request["verb"]](files, request)


def _study(files: RuleSetFiles, request: Mapping[str, Any]) -> Answer:
    return {
        "version": files.version,
        "parts": parts_of(files),
        "check": _check(files, request),
        "difference": difference(RuleSetFiles.of(request["against"]), files),
    }


def _check(files: RuleSetFiles, request: Mapping[str, Any]) -> Answer:
    return check(files, Catalog.load(Path(request["catalog"])), request["lists"])


def _compare(files: RuleSetFiles, request: Mapping[str, Any]) -> Answer:
    return difference(RuleSetFiles.of(request["against"]), files)


def _examples(files: RuleSetFiles, request: Mapping[str, Any]) -> Answer:
    return {"examples": answers(files, Catalog.load(Path(request["catalog"])))}


def _tune(files: RuleSetFiles, request: Mapping[str, Any]) -> Answer:
    changed = set_parameter(files, request["rule"], request["parameter"], request["value"])
    return {"files": dict(changed.texts)}


_VERBS: Mapping[str, Callable[[RuleSetFiles, Mapping[str, Any]], Answer]] = {
    "study": _study,
    "check": _check,
    "compare": _compare,
    "examples": _examples,
    "tune": _tune,
}


def main() -> None:
    """Answer the request on standard input; content that makes no rule set is an answer, too."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(10)
    try:
        answer = examine(json.load(sys.stdin))
    except (ContentError, CatalogError) as error:
        answer = {"refused": str(error)}
    except ParameterRefused as error:
        answer = {"parameter": str(error)}
    json.dump(answer, sys.stdout, separators=(",", ":"))


if __name__ == "__main__":
    main()
