"""What does knowing cost? Part of `make bench`: profiles, history, velocities, a cluster.

Each part is a program of its own (`python -m tests.bench.offline_bench` and so on) with servers of
its own; this runs them one after the other.
"""

from __future__ import annotations

import asyncio
import sys

from tests.bench import cluster_bench, offline_bench, profile_bench, velocity_bench


def main() -> int:
    """Run the parts; each prints its figures."""
    sys.stdout.write("\nProfiles\n")
    profile_bench.main([])
    sys.stdout.write("\nFeatures over the past\n")
    offline_bench.main([])
    sys.stdout.write("\nVelocities\n")
    velocity_bench.main()
    sys.stdout.write("\nA cluster of three primaries\n")
    asyncio.run(cluster_bench.main())
    return 0


if __name__ == "__main__":
    sys.exit(main())
