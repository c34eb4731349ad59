"""The yardstick: a bare FastAPI app that parses the same body with Pydantic and says hello.

`/v1/score` declares its body as FastAPI users do; `/raw` hands the bytes to Pydantic itself, which
is the least that any FastAPI endpoint can cost.
"""

from __future__ import annotations

from datetime import datetime

from fastapi import FastAPI, Request
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from starlette.responses import Response


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class User(_Part):
    id: str
    email: str | None = None
    phone: str | None = None
    created_at: datetime | None = None


class Device(_Part):
    id: str | None = None
    user_agent: str | None = None
    platform: str | None = None
    screen: str | None = None
    languages: list[str] = []
    timezone_offset_minutes: int | None = None
    is_automated: bool | None = None
    is_emulator: bool | None = None


class Network(_Part):
    ip: str


class Item(_Part):
    sku: str
    category: str | None = None
    quantity: int = 1
    unit_price_minor: int


class Address(_Part):
    country: str
    region: str | None = None
    city: str | None = None
    postal_code: str | None = None
    line1: str | None = None


class Order(_Part):
    id: str
    amount_minor: int
    currency: str | None = None
    channel: str = "normal"
    items: list[Item] = []
    shipping_address: Address | None = None


class Payment(_Part):
    method: str
    instrument: str | None = None
    bin: str | None = None
    outcome: str | None = None
    amount_minor: int | None = None
    currency: str | None = None


class Coupon(_Part):
    campaign: str
    code: str | None = None
    value_minor: int
    currency: str | None = None


class Return(_Part):
    order_id: str
    reason: str
    amount_minor: int
    currency: str | None = None
    item_value_minor: int | None = None
    items: list[Item] = []
    quantity: int | None = None
    ordered_quantity: int | None = None


class Login(_Part):
    succeeded: bool
    method: str


class Event(_Part):
    event_id: str
    type: str
    occurred_at: datetime
    user: User | None = None
    device: Device | None = None
    network: Network | None = None
    order: Order | None = None
    payment: Payment | None = None
    coupon: Coupon | None = None
    return_: Return | None = Field(default=None, alias="return")
    login: Login | None = None


def create_app() -> FastAPI:
    """Return an app whose two endpoints only parse their body."""
    app = FastAPI()
    adapter = TypeAdapter(Event)

    @app.post("/v1/score")
    async def score(event: Event) -> dict[str, str]:
        return {"event_id": event.event_id, "outcome": "approve"}

    @app.post("/raw")
    async def raw(request: Request) -> Response:
        event = adapter.validate_json(await request.body())
        body = b'{"event_id":"%s","outcome":"approve"}' % event.event_id.encode()
        return Response(body, media_type="application/json")

    @app.get("/livez")
    async def livez() -> dict[str, bool]:
        return {"live": True}

    return app
