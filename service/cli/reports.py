"""How does a command wait for a report that the service computes?"""

from __future__ import annotations

import time
from typing import Any

from service.cli.api_client import ApiClient, ApiRefused

PENDING = "report_pending"
WAIT_SECONDS = 1.0


def read_report(client: ApiClient, path: str, **query: Any) -> dict[str, Any]:
    """Ask until the report is there; say on the terminal how far it is. Raises `ApiRefused`."""
    from rich.console import Console

    with Console(stderr=True).status("Reading what was decided ...") as status:
        while True:
            try:
                found: dict[str, Any] = client.get(path, **query)
            except ApiRefused as refused:
                if refused.problem != PENDING:
                    raise
                status.update(str(refused))
                time.sleep(WAIT_SECONDS)
            else:
                return found
