"""`make soak`: the proofs that take too long for every change; `make soak ARGS="kills"` for one.

Each is a module here with `main(arguments)`, which prints one line for each figure and returns 0
when it holds. Invariant: each runs in a process of its own, so that one that fails keeps no other
from running.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence

# Module: what it proves. In the order of the run; one line each.
PROOFS: dict[str, str] = {
    "parity": "service, ledger, offline executor and oracle see the same",
    "kills": "P1: nothing answered is lost when the service or PostgreSQL is killed",
    "leaks": "P5: no planted personal value is found in clear",
    "erasure": "P6: nothing of 1,000 erased persons is left, all else is intact",
    "replay": "P9: every decision is computed again from its entry, to the bit",
    "packages": "P4: every byte of a package flipped, every attack on one seen; no false alarm",
    "tampers": "P4: what a superuser changes in the database is seen, with key and checkpoint",
    "drill": "a restored backup lacks nothing that was backed up; rollbacks and erasures are seen",
    "sequencers": "leaders killed, frozen and cut off: the tree has no fork, no gap, no repeat",
    "rotation": "no caller is refused while keys are replaced, and all opens with the last ones",
    "coverage": "P3: every answer is covered by a signed checkpoint within ten seconds",
    "restored": "P8: restored backups are noticed at start, none is signed",
    "faults": "system calls of spool and signer that fail, or a kill at them, lose nothing",
}
RUN = "import sys; from tests.soak.{name} import main; sys.exit(main(sys.argv[1:]))"


def main(arguments: Sequence[str]) -> int:
    """Run the proofs that `arguments` name, all without a name; return 1 when one fails.

    `NAME ... [--option ...]`: options go to the one proof that is named.
    """
    is_name = [word in PROOFS for word in arguments]
    first = is_name.index(False) if False in is_name else len(arguments)
    names, options = arguments[:first], arguments[first:]
    if options and (len(names) != 1 or not options[0].startswith("-")):
        sys.stderr.write(f"usage: make soak ARGS='NAME [--option ...]'; {', '.join(PROOFS)}\n")
        return 2
    failed = [name for name in names or PROOFS if not _holds(name, options)]
    if failed:
        sys.stdout.write(f"FAILED: {', '.join(failed)}\n")
    return 1 if failed else 0


def _holds(name: str, options: Sequence[str]) -> bool:
    _say(f"{name}: {PROOFS[name]} ...")
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", RUN.format(name=name), *options], check=False)
    took = time.monotonic() - began
    _say(f"{name}: {'FAILED' if done.returncode else 'holds'} ({took:,.0f} s)")
    return done.returncode == 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
