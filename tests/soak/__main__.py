"""`make soak`: the proofs that take too long for every change. One line each; 0 when all hold."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tests.soak.parity import main as parity


def main(arguments: Sequence[str]) -> int:
    """Run every proof with `arguments` (`--events`, `--seed`) and return 1 when one fails."""
    sys.stdout.write("Parity of service, ledger, offline executor and oracle ...\n")
    sys.stdout.flush()
    return parity(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
