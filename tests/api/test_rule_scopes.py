"""Who may do what with rule sets: each route takes its one scope, and acts are people's."""

from __future__ import annotations

from pathlib import Path

import asyncpg

from service.api.app import create_app
from service.api_key import SCOPES, KeyHash
from service.embedded import EmbeddedServers
from service.secrets_files import read_keys
from service.settings import Settings
from tests.http_client import Client
from tests.people import person_key
from tests.running import service_here, settings_on

READ, WRITE, APPROVE, ACTIVATE, STOP = (
    f"rules:{act}" for act in ("read", "write", "approve", "activate", "stop")
)
ROUTES = {
    ("get", "/v1/rule-sets"): READ,
    ("post", "/v1/rule-sets"): WRITE,
    ("get", "/v1/rule-sets/{version}"): READ,
    ("get", "/v1/rule-sets/{version}/files"): READ,
    ("get", "/v1/rule-sets/{version}/diff"): READ,
    ("post", "/v1/rule-sets/{version}/check"): WRITE,
    ("get", "/v1/rule-sets/{version}/examples"): READ,
    ("post", "/v1/rule-sets/{version}/parameters"): WRITE,
    ("get", "/v1/rule-sets/{version}/shadow-report"): READ,
    ("get", "/v1/rule-sets/{version}/rollout-report"): READ,
    ("get", "/v1/deployments"): READ,
    ("post", "/v1/rule-sets/{version}/submit"): WRITE,
    ("post", "/v1/rule-sets/{version}/approve"): APPROVE,
    ("post", "/v1/rule-sets/{version}/reject"): APPROVE,
    ("post", "/v1/rule-sets/{version}/activate"): ACTIVATE,
    ("post", "/v1/rule-sets/{version}/rollback"): ACTIVATE,
    ("post", "/v1/rule-sets/{version}/rollout"): ACTIVATE,
    ("post", "/v1/rule-sets/{version}/ramp"): ACTIVATE,
    ("post", "/v1/rule-sets/{version}/abort"): ACTIVATE,
    ("post", "/v1/rule-sets/{version}/shadow"): WRITE,
    ("post", "/v1/rule-sets/{version}/unshadow"): WRITE,
    ("get", "/v1/rule-stops"): READ,
    ("post", "/v1/rule-stops"): STOP,
    ("post", "/v1/rule-stops/{rule}/confirm"): STOP,
    ("post", "/v1/rule-stops/{rule}/lift"): STOP,
}


def test_every_route_is_here() -> None:
    """No route about rule sets is missing from the table above."""
    paths = create_app(Settings()).openapi()["paths"]
    found = {
        (method, path)
        for path, methods in paths.items()
        for method, route in methods.items()
        if route["tags"] == ["rule sets"]
    }
    assert found == set(ROUTES)


async def test_each_route_takes_its_scope(
    servers: EmbeddedServers, fresh_postgres_url: str, tmp_path: Path
) -> None:
    """Without its scope, whatever others a person has, a route is closed; so it is to strangers."""
    settings = settings_on(servers, tmp_path, patient_ms=5000)
    settings = settings.model_copy(
        update={"postgres": settings.postgres.model_copy(update={"url": fresh_postgres_url})}
    )
    hashed = KeyHash(read_keys(settings).tag)
    everything = ("analyst", "approver", "compliance", "reviewer")
    async with service_here(settings) as here:
        database = await asyncpg.connect(fresh_postgres_url)
        for scope in sorted(set(ROUTES.values())):
            others = [name for name in SCOPES if name != scope]
            key = await person_key(database, hashed, "ana", *everything, scopes=others)
            async with Client(key, transport=here.transport) as ana:
                for (method, path), needed in ROUTES.items():
                    url = path.format(version="live", rule="x")
                    answer = await (ana.get(url) if method == "get" else ana.score({}, url))
                    is_closed = b'"code":"missing_scope"' in answer.content
                    assert is_closed is (needed == scope), (method, path, answer.content)
        await database.close()
        async with Client(None, transport=here.transport) as stranger:
            for method, path in ROUTES:
                url = path.format(version="live", rule="x")
                answer = await (stranger.get(url) if method == "get" else stranger.score({}, url))
                assert answer.json["code"] == "missing_key", (method, path)
