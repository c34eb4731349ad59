"""Which of our modules do something when they are imported? Run in a process of its own.

Prints as JSON what each module opened, listed, connected or started while it was imported. Python
reading modules, and third-party packages being imported, do not count.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = str(Path(__file__).resolve().parents[2])
WATCHED = {
    "open", "os.mkdir", "os.listdir", "os.scandir", "os.system", "signal.signal",
    "socket.__new__", "socket.connect", "subprocess.Popen", "_thread.start_new_thread",
}  # fmt: skip
MODULE_FILES = (".py", ".pyc", ".so")

current: str | None = None
did: list[tuple[str, str, str]] = []


def watch(event: str, args: tuple[Any, ...]) -> None:
    """Note an event that one of our modules caused (an audit hook: sys.addaudithook)."""
    if current is None or event not in WATCHED:
        return
    if event == "open" and str(args[0]).endswith(MODULE_FILES):
        return
    if _is_ours(sys._getframe(1)):
        did.append((current, event, repr(args[:1])))


def _is_ours(frame: FrameType | None) -> bool:
    while frame is not None:
        name = frame.f_code.co_filename
        if "importlib" in name:
            return False
        if name.startswith(ROOT) and "/.venv/" not in name:
            return True
        frame = frame.f_back
    return False


def main() -> None:
    """Import every module of the packages named on the command line."""
    global current  # noqa: PLW0603 - the hook is a plain function and must know
    names = []
    for package in sys.argv[1:]:
        found = importlib.import_module(package)
        names.append(package)
        names += [
            module.name
            for module in pkgutil.walk_packages(found.__path__, f"{package}.")
            if not module.name.endswith(("__main__", ".child"))
        ]
    sys.addaudithook(watch)
    for name in names:
        current = name
        importlib.import_module(name)
    current = None
    print(json.dumps({"did": did, "threads": threading.active_count(), "modules": len(names)}))


if __name__ == "__main__":
    main()
