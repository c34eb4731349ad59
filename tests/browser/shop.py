"""A shop for browsers: the real service, and a page under a strict policy that uses the collector.

`python -m tests.browser.shop` starts it with servers of its own, to try the collector by hand.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

import features.collector
from features.collector.fingerprint import fingerprint_fields, read_fingerprint
from features.collector.identity import identify
from features.collector.signs import Seen, contradictions
from features.event import Device
from service.api.app import create_app
from service.embedded import EmbeddedServers
from service.settings import Settings
from tests.running import prepared_key, settings_on

_FILES = Path(features.collector.__path__[0])
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'"
HOST = "127.0.0.1"


@dataclass(frozen=True)
class Shop:
    """A shop that is open."""

    url: str
    port: int
    app: FastAPI


def shop_app(settings: Settings) -> FastAPI:
    """Return the service with the pages of the shop."""
    app = create_app(settings)
    for name in ("demo.html", "demo.js", "demo.css"):
        app.add_api_route(f"/{name}", _page(name), include_in_schema=False)
    app.add_api_route("/demo/read", _read, methods=["POST"], include_in_schema=False)
    return app


def _page(name: str):  # type: ignore[no-untyped-def]  # a route's function
    async def page() -> Response:
        return FileResponse(_FILES / name, headers={"Content-Security-Policy": POLICY})

    return page


async def _read(request: Request) -> Response:
    text = (await request.body()).decode()
    key = request.app.state.runtime.token_key
    reading = read_fingerprint(text, key, time.time_ns() // 1_000_000)
    facts: dict[str, object] = dict(
        fingerprint_fields(reading, Device(user_agent=request.headers.get("user-agent")))
    )
    if reading.components is not None:
        header = request.headers.get("user-agent")
        seen = Seen(reading.components, header, reading.issued_ms)
        facts["which contradict"] = contradictions(seen)
        facts["device id"] = identify(reading.components).device_id
    return JSONResponse(facts)


@contextlib.contextmanager
def open_shop(settings: Settings, port: int = 0) -> Iterator[Shop]:
    """Run the shop in a thread until the block ends."""
    app = shop_app(settings)
    listening = socket.create_server((HOST, port))
    config = uvicorn.Config(app, log_level="warning", lifespan="on")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError("the shop did not open")
            time.sleep(0.02)
        port = listening.getsockname()[1]
        yield Shop(f"http://{HOST}:{port}", port, app)
    finally:
        server.should_exit = True
        thread.join(timeout=30)
        listening.close()


def main() -> None:
    """Open the shop until Ctrl-C."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers = stack.enter_context(EmbeddedServers.start(folder / "servers"))
        settings = settings_on(servers, folder)
        asyncio.run(prepared_key(settings))
        shop = stack.enter_context(open_shop(settings, port=8300))
        stack.enter_context(contextlib.suppress(KeyboardInterrupt))
        print(f"{shop.url}/demo.html (Ctrl-C closes the shop)")
        threading.Event().wait()


if __name__ == "__main__":
    main()
