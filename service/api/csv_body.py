"""How does a CSV come in? As the body itself, `Content-Type: text/csv`."""

from __future__ import annotations

from starlette.requests import Request

from service.api.body import BodyTooLarge, read_body
from service.csv_rows import MAX_IMPORT_BYTES, TooManyRows

# The largest import in this time is 4 Mbit/s.
SECONDS = 32.0


async def read_csv_body(request: Request) -> bytes:
    """Return the body of an import. Raises `TooManyRows` and `BodyTooSlow`."""
    try:
        return await read_body(request, MAX_IMPORT_BYTES, SECONDS)
    except BodyTooLarge:
        raise TooManyRows from None
