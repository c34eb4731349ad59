"""How is Feast imported without leaving traces in this process?

Importing it prepares a metrics server of its own: a temporary directory, two environment variables
that would turn our metrics into those of several workers, and gauges among ours.
Invariant: afterwards the environment is what it was, and no metric of Feast's is ever shown.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings

# The first name is Feast's own spelling, the second that of prometheus_client.
_NAMES = ("PROMETHEUS_MULTIPROCESS_DIR", "PROMETHEUS_MULTIPROC_DIR")


def import_feast() -> None:
    """Import Feast; takes some seconds and about 130 MB the first time, nothing later."""
    if "feast" in sys.modules:
        return
    from prometheus_client import values

    logging.getLogger("feast").setLevel(logging.WARNING)
    kept = {name: os.environ.get(name) for name in _NAMES}
    value_class = values.ValueClass
    # Values of one process: those of several would be files beside ours. With the variable there,
    # Feast makes no directory.
    values.ValueClass = values.MutexValue
    os.environ[_NAMES[0]] = ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import feast
            import feast.feature_server  # noqa: F401 - it is what brings the metrics
    finally:
        values.ValueClass = value_class
        for name, value in kept.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
