"""What does the API's documentation say?

The parts of OpenAPI that FastAPI cannot see, because the hot endpoints read the body themselves:
the event's schema, an example for each event type, and every error with an example.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema
from starlette.responses import Response

from features.event import Event
from features.event_types import EVENT_TYPES
from service.api.answers import EventAnswer, ProblemAnswer, ReadyAnswer, ScoreAnswer, TokenAnswer
from service.api.problems import MEDIA_TYPE, PROBLEMS, problem_body

_OWN_422 = "HTTPValidationError"
_REF = "#/components/schemas/{model}"
KEY_PROBLEMS = ("missing_key", "invalid_key", "missing_scope", "keys_unavailable")
# What every route of people and tools may answer.
ADMIN_PROBLEMS = (
    *KEY_PROBLEMS,
    "invalid_request",
    "not_a_person",
    "store_unavailable",
    "ledger_unavailable",
    "internal_error",
)
# What a route may answer besides that takes a body.
BODY_PROBLEMS = ("body_too_large", "body_too_slow")
_EVENT_PROBLEMS = (
    *KEY_PROBLEMS,
    "outside_limits",
    "body_too_slow",
    "event_conflict",
    "body_too_large",
    "invalid_event",
    "internal_error",
    "overloaded",
    "ledger_unavailable",
    "record_unavailable",
    "out_of_time",
)

_SCORE_EXAMPLE = {
    "decision_id": "5f0c7c1a1d8f4f0f9b7a2f6f1c9d3e21",
    "event_id": "ord-7f3a",
    "type": "checkout",
    "outcome": "challenge",
    "score": 0.3127,
    "reasons": [
        {
            "code": "COUPON_NEW_ACCOUNT_HIGH_VALUE",
            "text": {
                "en": "A high-value coupon is used by a very new account.",
                "zh": "新注册账户使用了高额优惠券。",
            },
            "source": "rule:coupon-new-account-high-value",
        }
    ],
    "rule_hits": [
        {
            "rule_id": "coupon-new-account-high-value",
            "status": "hit",
            "outcome": "challenge",
            "mode": "live",
        }
    ],
    "step_up": {"method": "one_time_code", "delay_seconds": 0},
    "versions": {
        "rule_set": "9b1f…",
        "bundle": "c27a…",
        "catalog": "51de…",
        "policy": "0a44…",
        "code": "77b2…",
    },
    "degraded": [],
    "observed_at": "2026-11-22T08:15:30.412000+00:00",
    "latency_ms": 0.84,
}
_EVENT_EXAMPLE = {
    "event_id": "log-19c2",
    "entry_id": "0d9a6c0b7e3f4a51b5e8c9d2f1a07b36",
    "recorded": True,
    "degraded": [],
    "observed_at": "2026-11-22T08:15:30.412000+00:00",
}
_INVALID_EXAMPLE = [
    {
        "pointer": "/order/amount_minor",
        "code": "greater_than_equal",
        "detail": "Input should be greater than or equal to 0",
    },
    {"pointer": "/device/screeen", "code": "unknown_field", "detail": "Did you mean `screen`?"},
]


def problems(*codes: str) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route for these error codes, grouped by status.

    Routes of people and tools: `responses=openapi.problems(*openapi.ADMIN_PROBLEMS, ...)`.
    """
    responses: dict[int | str, dict[str, Any]] = {}
    for code in codes:
        kind = PROBLEMS[code]
        response = responses.setdefault(
            kind.status,
            {
                "description": kind.title,
                "content": {
                    MEDIA_TYPE: {
                        "schema": {"$ref": _REF.format(model="ProblemAnswer")},
                        "examples": {},
                    }
                },
            },
        )
        if kind.title not in response["description"]:
            response["description"] += f" · {kind.title}"
        found = _INVALID_EXAMPLE if code in ("invalid_event", "invalid_request") else None
        response["content"][MEDIA_TYPE]["examples"][code] = {
            "summary": kind.title,
            "value": problem_body(code, problems=found),
        }
        if kind.retry_after_seconds is not None:
            response["headers"] = {
                "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}
            }
    return responses


def _json(description: str, model: str, example: object) -> dict[str, Any]:
    return {
        "description": description,
        "content": {
            "application/json": {"schema": {"$ref": _REF.format(model=model)}, "example": example}
        },
    }


def _event_body() -> dict[str, Any]:
    return {
        "security": [{"api_key": []}],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"$ref": _REF.format(model="Event")},
                    "examples": {
                        name: {"summary": kind.description, "value": kind.example}
                        for name, kind in EVENT_TYPES.items()
                    },
                }
            },
        },
    }


def csv_body(description: str, example: str) -> dict[str, Any]:
    """Return the `requestBody` of a route that takes a CSV."""
    content = {"text/csv": {"schema": {"type": "string"}, "example": example}}
    return {"required": True, "description": description, "content": content}


SCORE: dict[str, Any] = {
    "response_class": Response,
    "responses": {
        200: _json("The recorded decision.", "ScoreAnswer", _SCORE_EXAMPLE),
        **problems(*_EVENT_PROBLEMS),
    },
    "openapi_extra": _event_body(),
}
EVENTS: dict[str, Any] = {
    "status_code": 202,
    "response_class": Response,
    "responses": {
        202: _json("Counted and recorded.", "EventAnswer", _EVENT_EXAMPLE),
        **problems(*_EVENT_PROBLEMS),
    },
    "openapi_extra": _event_body(),
}
DECISION: dict[str, Any] = {
    "response_class": Response,
    "responses": {
        200: _json("The decision as it was answered.", "ScoreAnswer", _SCORE_EXAMPLE),
        **problems(
            *KEY_PROBLEMS,
            "unknown_decision",
            "decision_erased",
            "decision_restricted",
            "internal_error",
            "record_unavailable",
        ),
    },
    "openapi_extra": {"security": [{"api_key": []}]},
}
COLLECTOR: dict[str, Any] = {
    "response_class": Response,
    "responses": {
        200: {
            "description": "The script.",
            "content": {"text/javascript": {"schema": {"type": "string"}}},
        },
        304: {"description": "The browser has this version."},
    },
    "openapi_extra": {
        "parameters": [
            {
                "name": "v",
                "in": "query",
                "description": "The version that the page wants, for caching without end.",
                "schema": {"type": "string"},
            }
        ]
    },
}
_TOKEN_EXAMPLE = {
    "token": "AaICsdvQAAAAAAAAAAAAAAAA.iE0h1zQvY3W2q8m9b7n6c5x4z3l2k1j0h9g8f7d6s5a",
    "expires_in_seconds": 900,
}
COLLECTOR_TOKEN: dict[str, Any] = {
    "response_class": Response,
    "responses": {
        200: _json("A token.", "TokenAnswer", _TOKEN_EXAMPLE),
        **problems("too_many_tokens"),
    },
}
LIVE: dict[str, Any] = {
    "response_class": Response,
    "responses": {
        200: {
            "description": "The process runs.",
            "content": {"application/json": {"example": {"live": True}}},
        }
    },
}
_READY_EXAMPLE = {
    "ready": True,
    "resources": {
        "velocity": {"ok": True, "detail": "answers"},
        "ledger": {"ok": True, "detail": "answers"},
        "model": {"ok": True, "detail": "bundle c27a19e0b3f45d68"},
        "rules": {"ok": True, "detail": "rule set 9b1f04d2c7aa318e"},
    },
}
READY: dict[str, Any] = {
    "response_class": Response,
    "responses": {
        200: _json("Events can be answered on the record.", "ReadyAnswer", _READY_EXAMPLE),
        503: _json(
            "Send no events here: they could not be recorded.",
            "ReadyAnswer",
            {
                "ready": False,
                "resources": {"ledger": {"ok": False, "detail": "PostgreSQL is away, spool full"}},
            },
        ),
    },
}
METRICS: dict[str, Any] = {
    "response_class": Response,
    "responses": {
        200: {
            "description": "Prometheus text format.",
            "content": {"text/plain": {"example": 'touchstone_events_total{type="login"} 17.0'}},
        }
    },
}


def describe(app: FastAPI) -> None:
    """Give the app its title, its security scheme and the schemas that its routes refer to."""
    app.title = "Touchstone"
    app.summary = "Decides in milliseconds whether an e-commerce event may go ahead."
    generate = app.openapi

    invalid_request = problems("invalid_request")[422]

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = generate()
            components = document.setdefault("components", {})
            _, schemas = models_json_schema(
                [
                    (Event, "validation"),
                    *(
                        (model, "serialization")
                        for model in (
                            ScoreAnswer,
                            EventAnswer,
                            ProblemAnswer,
                            ReadyAnswer,
                            TokenAnswer,
                        )
                    ),
                ],
                ref_template=_REF,
            )
            components.setdefault("schemas", {}).update(schemas["$defs"])
            # FastAPI adds its own 422 to every route with a parameter; ours has another shape.
            for path, methods in document["paths"].items():
                for route in methods.values():
                    if _OWN_422 in str(route["responses"].get("422")):
                        route["responses"].pop("422")
                        if path != "/v1/decisions/{decision_id}":  # what is no id gives 404
                            route["responses"]["422"] = invalid_request
            for unused in ("HTTPValidationError", "ValidationError"):
                components["schemas"].pop(unused, None)
            components["securitySchemes"] = {"api_key": {"type": "http", "scheme": "bearer"}}
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it
