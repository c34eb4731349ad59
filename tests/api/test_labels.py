"""Labels as an analyst brings them: of events that were seen, never before them, corrected."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from features.tags import Tagger, derive_tag_keys
from service.embedded import EmbeddedServers
from service.labels.store import known_labels
from service.secrets_files import read_keys
from tests.api.test_endpoints import assert_problem
from tests.events import event
from tests.http_client import Answer, Client
from tests.running import Here, entries, service_here, settings_on

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Here]:
    """A service in this process on servers of its own."""
    base = tmp_path_factory.mktemp("labels")
    with EmbeddedServers.start(base / "servers") as servers:
        async with service_here(settings_on(servers, base, patient_ms=10_000)) as here:
            yield here


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def connection(here: Here) -> AsyncIterator[Any]:
    opened = await asyncpg.connect(here.settings.postgres.url)
    yield opened
    await opened.close()


async def scored(here: Here) -> str:
    """Have a checkout decided and return its event id."""
    one = event("checkout")
    assert (await here.client.score(one)).status == 200
    return str(one["event_id"])


async def post(here: Here, *rows: dict[str, Any]) -> Answer:
    return await here.client.score({"labels": list(rows)}, "/v1/labels")


async def import_rows(here: Here, text: str, query: str = "") -> Answer:
    path = f"/v1/labels/import?{query}"
    return await here.client.post(path, text.encode(), {"Content-Type": "text/csv"})


async def known(here: Here, event_id: str) -> Any:
    return (await here.client.get(f"/v1/labels/of?event_id={event_id}")).json


def tag_of(here: Here, event_id: str) -> str:
    return Tagger(derive_tag_keys(read_keys(here.settings).tag)).tag("event", event_id)


async def test_a_label_counts_from_the_moment_it_was_known(here: Here, connection: Any) -> None:
    """Before, nothing is known; later labels correct earlier ones; all of them are kept."""
    name = await scored(here)
    tag = tag_of(here, name)
    before = datetime.now(UTC)
    answer = await post(here, {"event_id": name, "source": "chargeback"})
    assert answer.status == 200, answer.content
    assert (answer.json["added"], answer.json["repeated"]) == (1, 0)
    between = datetime.now(UTC)
    corrected = await post(here, {"event_id": name, "source": "review_result", "label": "honest"})
    assert corrected.json["added"] == 1
    now = datetime.now(UTC)
    assert await known_labels(connection, [tag], before) == {}
    then = (await known_labels(connection, [tag, "x" * 22], between))[tag]
    assert (then.label, then.source) == (1, "chargeback")
    assert before <= then.known_at <= between
    assert (await known_labels(connection, [tag], now))[tag].label == 0
    found = await known(here, name)
    assert (found["label"], found["source"]) == ("honest", "review_result")
    assert [row["label"] for row in found["history"]] == ["abusive", "honest"]
    assert found["event_tag"] == tag


async def test_a_withdrawn_label_leaves_nothing_known(here: Here, connection: Any) -> None:
    """What was attached to the wrong event is taken back; it stays on record."""
    name = await scored(here)
    await post(here, {"event_id": name, "source": "confirmed_abuse"})
    await post(here, {"event_id": name, "source": "confirmed_abuse", "label": "withdrawn"})
    assert await known_labels(connection, [tag_of(here, name)], datetime.now(UTC)) == {}
    found = await known(here, name)
    assert found["label"] is None
    assert [row["label"] for row in found["history"]] == ["abusive", "withdrawn"]


async def test_no_label_is_older_than_its_event(here: Here, connection: Any) -> None:
    """Neither by the API nor past it, straight in the database."""
    name = await scored(here)
    early = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()
    answer = await post(here, {"event_id": name, "source": "chargeback", "known_at": early})
    [problem] = assert_problem(answer, "rows_invalid")["problems"]
    assert (problem["pointer"], problem["code"]) == ("/labels/0/known_at", "before_event")
    assert (await known(here, name))["history"] == []
    insert = (
        "INSERT INTO label (event_tag, label, source, known_at, observed_at, actor, batch) "
        "VALUES ('t', 1, 'chargeback', $1, $2, 'ana', gen_random_uuid())"
    )
    now = datetime.now(UTC)
    with pytest.raises(asyncpg.CheckViolationError, match="label_known_after_event"):
        await connection.execute(insert, now - timedelta(hours=2), now - timedelta(hours=1))
    with pytest.raises(asyncpg.CheckViolationError, match="label_not_of_the_future"):
        await connection.execute(insert, now + timedelta(hours=2), now)


async def test_a_label_is_never_changed(here: Here, connection: Any) -> None:
    """The database itself refuses to rewrite what was said."""
    name = await scored(here)
    await post(here, {"event_id": name, "source": "chargeback"})
    with pytest.raises(asyncpg.CheckViolationError, match="add a correction"):
        await connection.execute("UPDATE label SET label = 0")


async def test_all_labels_or_none(here: Here) -> None:
    """Every problem is named, without repeating values, and nothing is kept."""
    name = await scored(here)
    later = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    answer = await post(
        here,
        {"event_id": name, "source": "chargeback"},
        {"event_id": name, "source": "charge_back"},
        {"event_id": name, "source": "review_result"},
        {"event_id": name, "source": "good_customer", "label": "abusive"},
        {"event_id": name, "source": "chargeback", "known_at": later},
        {"source": "chargeback"},
        {"event_id": name, "source": "chargeback", "known_at": "yesterday"},
        {"event_id": name, "source": "chargeback", "label": "secret-4711"},
    )
    problems = assert_problem(answer, "rows_invalid")["problems"]
    assert [entry["pointer"] for entry in problems] == [
        "/labels/1/source", "/labels/2/label", "/labels/3/label", "/labels/4/known_at",
        "/labels/5/event_id", "/labels/6/known_at", "/labels/7/label",
    ]  # fmt: skip
    assert "Did you mean `chargeback`" in problems[0]["detail"]
    assert "4711" not in str(problems)
    unknown = await post(
        here,
        {"event_id": name, "source": "chargeback"},
        {"event_id": "never-sent", "source": "chargeback"},
        {"event_id": name, "source": "chargeback", "label": "honest"},
    )
    problems = assert_problem(unknown, "rows_invalid")["problems"]
    assert [(entry["pointer"], entry["code"]) for entry in problems] == [
        ("/labels/1/event_id", "unknown_event"),
        ("/labels/2/label", "contradiction"),
    ]
    assert (await known(here, name))["history"] == []
    many = [{"event_id": name, "source": "chargeback"}] * 1001
    assert_problem(await post(here, *many), "invalid_request")


async def test_no_body_breaks_the_labels(here: Here) -> None:
    """Texts that no database can hold are refused like any other."""
    for name in ("\x00", "\ud800", "", "x" * 129):
        content = json.dumps({"labels": [{"event_id": name, "source": "chargeback"}]}).encode()
        answer = await here.client.post("/v1/labels", content, {"Content-Type": "application/json"})
        assert answer.status == 422, (name, answer.content)
    for query in ("source=%00", "known_since=yesterday", "after=-1", "known_since=2026-01-01"):
        assert (await here.client.get(f"/v1/labels?{query}")).status == 422, query
    assert (await here.client.get("/v1/labels/of?event_tag=short")).status == 422
    assert (await here.client.get("/v1/labels/of")).status == 422


async def test_a_csv_is_imported_once(here: Here) -> None:
    """The same file a second time adds nothing; empty cells take what the query says."""
    one, other = await scored(here), await scored(here)
    at = datetime.now(UTC).isoformat()
    text = f"event_id,label,known_at\n{one},abusive,{at}\n{other},0,\n"
    answer = await import_rows(here, text, "source=manual_review")
    assert (answer.json["added"], answer.json["repeated"]) == (2, 0)
    again = await import_rows(here, text, "source=manual_review")
    assert (again.json["added"], again.json["repeated"]) == (0, 2)
    assert (await known(here, one))["label"] == "abusive"
    assert (await known(here, other))["label"] == "honest"
    bad = await import_rows(here, f"event_id,labl\n{one},1\n", "source=manual_review")
    problems = assert_problem(bad, "rows_invalid")["problems"]
    assert "Did you mean `label`" in problems[0]["detail"]


async def test_the_export_is_what_training_reads(here: Here, tmp_path: Path) -> None:
    """Tags, labels and the moment each was known come back through `training.labels`."""
    from training.labels import read_delays, read_labels

    name = await scored(here)
    await post(here, {"event_id": name, "source": "chargeback"})
    path = tmp_path / "labels.csv"
    path.write_bytes((await here.client.get("/v1/labels/export")).content)
    labels = read_labels(path, Tagger(derive_tag_keys(bytes(32))), read_delays())
    rows = {row["event_tag"]: row for row in labels.rows.to_dicts()}
    row = rows[tag_of(here, name)]
    assert (row["label"], row["source"]) == (1, "chargeback")
    assert abs(row["known_ms"] - datetime.now(UTC).timestamp() * 1000) < 60_000


async def test_labels_are_recorded_and_listed(here: Here) -> None:
    """The ledger has the batch, who brought it and how much; pages list the rows."""
    name = await scored(here)
    answer = await post(here, {"event_id": name, "source": "chargeback"})
    last = [entry for entry in await entries(here.settings) if entry.type == "labels.add"][-1]
    assert last.core is not None
    assert last.core["batch"] == answer.json["batch"]
    assert last.core["added"] == 1
    assert last.core["sources"] == {"chargeback": 1}
    assert name not in str(last.core)
    after: int | None = 0
    found: list[Any] = []
    while after is not None:
        page = (await here.client.get(f"/v1/labels?after={after}&limit=2")).json
        found += page["labels"]
        after = page["next"]
    assert answer.json["batch"] in {row["batch"] for row in found}
    sources = {row["name"]: row for row in (await here.client.get("/v1/labels/sources")).json}
    assert sources["good_customer"]["always"] == "honest"
    assert sources["chargeback"]["counts"]["abusive"] >= 1


async def test_labels_need_their_scope(here: Here) -> None:
    """Who may score may not say what events turned out to be."""
    async with Client(await here.new_key("score"), transport=here.transport) as client:
        body = {"labels": [{"event_id": "e", "source": "chargeback"}]}
        assert_problem(await client.score(body, "/v1/labels"), "missing_scope")
        assert_problem(await client.get("/v1/labels"), "missing_scope")
        assert_problem(await client.get("/v1/labels/export"), "missing_scope")
