"""How does a server start so that it dies with its parent and never runs as root?

Run as a script between fork and exec (`python -I -S child.py SPEC`); imports the standard library
only. Invariant: what is executed has no more rights than it needs to reach its own files.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys

# <linux/prctl.h>, <linux/capability.h>
PR_SET_PDEATHSIG, PR_SET_KEEPCAPS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 1, 8, 47, 2
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2
CAPABILITY_VERSION_3 = 0x20080522


def start(spec: dict[str, object]) -> None:
    """Become the server that the spec describes; does not return.

    The spec: `argv`; `parent` (pid); `death_signal` sent when the parent dies; `user` ([uid, gid]
    to change to, or null); `needs` (paths that the server must be able to read).
    """
    argv, needs, user = spec["argv"], spec["needs"], spec["user"]
    assert isinstance(argv, list)
    assert isinstance(needs, list)
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
    if isinstance(user, list):
        _become(user[0], user[1], libc, needs)
    if libc is not None:
        # Must follow the change of user, which clears it.
        libc.prctl(PR_SET_PDEATHSIG, spec["death_signal"], 0, 0, 0)
        if os.getppid() != spec["parent"]:
            raise SystemExit("the parent died during the start")
    os.umask(0o077)
    os.execv(argv[0], argv)


def _become(uid: int, gid: int, libc: ctypes.CDLL | None, needs: list[str]) -> None:
    if libc is not None:
        libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    if libc is None:
        return
    # access(2) ignores the capabilities that were kept: it tells what the plain user may do.
    if all(os.access(path, os.R_OK | os.X_OK) for path in needs):
        _keep_only(None, libc)
        return
    # The files lie below a directory that is closed to others, such as /root. The server may look
    # through closed directories, as its root owner may; opening them to everybody would be worse.
    for capability in (CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE):
        if _keep_only(capability, libc):
            return
    raise SystemExit(f"user {uid} cannot read {' or '.join(needs)}")


def _keep_only(capability: int | None, libc: ctypes.CDLL) -> bool:
    mask = 0 if capability is None else 1 << capability
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    # Effective, permitted, inheritable: of capabilities 0-31, then of 32-63.
    data = (ctypes.c_uint32 * 6)(mask, mask, mask, 0, 0, 0)
    if libc.capset(header, data) != 0:
        return False
    return capability is None or (
        libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) == 0
    )


if __name__ == "__main__":
    try:
        start(json.loads(sys.argv[1]))
    except OSError as error:
        raise SystemExit(f"{sys.argv[1]}: {error}") from None
