"""A person's rights in a running service: restriction, erasure, and what is held about them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
import pytest_asyncio

from service.embedded import EmbeddedServers
from service.ledger.verify import verify_log
from service.rights.journal import Digests, JournalFile
from service.secrets_files import read_keys
from tests.events import event
from tests.recorded_actions import recorded_actions
from tests.rights import PURPOSE, Desks, desks_of, rows, valkey_dump
from tests.running import Here, entries, service_here, settings_on

pytestmark = pytest.mark.asyncio(loop_scope="module")

ALL = "/v1/audit/rights-requests"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Here]:
    """A service in this process on servers of its own."""
    base = tmp_path_factory.mktemp("rights")
    with EmbeddedServers.start(base / "servers") as servers:
        async with service_here(settings_on(servers, base, patient_ms=10_000)) as here:
            yield here


@pytest_asyncio.fixture(loop_scope="module")
async def desks(here: Here) -> AsyncIterator[Desks]:
    """Two people of compliance."""
    async with desks_of(here) as desks:
        yield desks


async def decided(here: Here, user: str, count: int = 1, **parts: Any) -> list[str]:
    """Send events of a user; return the ids of the decisions."""
    found = []
    for _ in range(count):
        answer = await here.client.score(event("coupon_redemption", user={"id": user}, **parts))
        assert answer.status == 200, answer.content
        found.append(answer.json["decision_id"])
    return found


async def test_asking_restricts_at_once_and_only_another_person_ends_it(
    here: Here, desks: Desks
) -> None:
    """From the request on nobody reads the decisions; who asked can neither refuse nor execute."""
    one, other = await decided(here, "u-restricted"), await decided(here, "u-free")
    asked = await desks.ask({"user": "u-restricted"})
    assert asked.status == 201
    assert (asked.json["held_entries"], asked.json["mentioned_in"]) == (1, 0)
    refused = await here.client.get(f"/v1/decisions/{one[0]}")
    assert (refused.status, refused.json["code"]) == (451, "decision_restricted")
    assert (await here.client.get(f"/v1/decisions/{other[0]}")).status == 200
    number = asked.json["id"]
    for verb in ("refuse", "execute"):
        alone = await desks.decide(number, verb, alone=True)
        assert (alone.status, alone.json["code"]) == (403, "own_rights_request")
    shown = (await desks.decides.get(f"{ALL}/{number}")).json
    assert (shown["purpose"], shown["identifiers"]) == (PURPOSE, ["user"])
    assert (await desks.decide(number, "refuse")).json["state"] == "refused"
    assert (await here.client.get(f"/v1/decisions/{one[0]}")).status == 200
    again = await desks.decide(number, "execute")
    assert (again.status, again.json["code"]) == (409, "rights_request_decided")


async def test_a_restriction_is_lifted_by_another_person(here: Here, desks: Desks) -> None:
    """A restriction lasts until somebody else lifts it; a repeat of an event is still answered."""
    sent = event("coupon_redemption", user={"id": "u-lifted"})
    first = await here.client.score(sent)
    asked = await desks.ask({"user": "u-lifted"}, "/v1/audit/restrictions")
    place = f"/v1/decisions/{first.json['decision_id']}"
    assert (await here.client.get(place)).status == 451
    here.runtime.rights.parts.once.forget_answers()
    assert (await here.client.score(sent)).content == first.content
    number = asked.json["id"]
    assert (await desks.decide(number, "lift", alone=True)).status == 403
    assert (await desks.decide(number, "execute")).status == 409
    assert (await desks.decide(number, "lift")).json["state"] == "lifted"
    assert (await here.client.get(place)).content == first.content


async def test_nothing_of_an_erased_person_is_left(here: Here, desks: Desks) -> None:
    """Decisions, keys, links, labels, list entries, counters and the retained answers are gone."""
    person = {"user": "u-erased", "email": "gone@example.com", "device": "d-shared"}
    parts = {"device": {"id": "d-shared"}}
    ids = []
    for _ in range(3):
        sent = event(
            "coupon_redemption", user={"id": "u-erased", "email": "gone@example.com"}, **parts
        )
        ids.append((await here.client.score(sent)).json["decision_id"])
    kept = await decided(here, "u-stays", device={"id": "d-shared"})
    label = {"event_id": sent["event_id"], "source": "confirmed_abuse"}
    assert (await here.client.score({"labels": [label]}, "/v1/labels")).status == 200
    await here.client.score(
        {"name": "bad", "purpose": "deny", "description": "bad ones"}, "/v1/lists"
    )
    listed = {"entries": [{"kind": "user", "value": "u-erased"}], "reason": "seen"}
    assert (await here.client.score(listed, "/v1/lists/bad/entries")).status == 200
    brain = here.runtime.brain
    tags = {kind: brain.tagger.tag(kind, value) for kind, value in person.items()}
    before = {row["entry_id"]: dict(row) for row in await rows(here.settings, _ENTRIES)}
    assert any(tags["user"] in str(pair) for pair in valkey_dump(here.settings).items())

    [number] = await desks.erase(person)
    done = (await desks.asks.get(f"{ALL}/{number}")).json
    assert done["counts"]["entries"] == 3
    assert (done["counts"]["labels"], done["counts"]["list_entries"]) == (1, 1)
    assert done["identifiers"] == []
    for decision in ids:
        answer = await here.client.get(f"/v1/decisions/{decision}")
        assert (answer.status, answer.json["code"]) == (410, "decision_erased")
    dump = valkey_dump(here.settings)
    for tag in tags.values():
        assert not [pair for pair in dump.items() if tag.encode() in b"".join(pair)], tag
    after = {row["entry_id"]: dict(row) for row in await rows(here.settings, _ENTRIES)}
    mine = {bytes.fromhex(one) for one in ids}
    for entry_id, row in before.items():
        if entry_id in mine:
            gone = {"subject": None, "event_key": None, "body_hash": None}
            assert after[entry_id] == row | gone | {"key_id": None, "terms": None}
        elif entry_id == bytes.fromhex(kept[0]):
            # The entry stays to the byte; it cannot be found by the device that was erased.
            assert after[entry_id] | {"terms": 0} == row | {"terms": 0}
            assert len(after[entry_id]["terms"]) == len(row["terms"]) - 1
        else:
            assert after[entry_id] == row
    event_tag = brain.tagger.tag("event", sent["event_id"])
    assert not await rows(here.settings, "SELECT FROM label WHERE event_tag = $1", event_tag)
    assert not await rows(here.settings, "SELECT FROM list_entry")
    left = [one.core for one in await entries(here.settings) if one.entry_id in mine]
    assert sent["event_id"] not in str(left)
    held = (await desks.held(person)).json
    assert [held[section] for section in ("entries", "labels", "lists", "counters")] == [[]] * 4
    report = await verify_log(str(here.settings.postgres.url))
    assert not [one for one in report.findings if one.kind in ("invalid", "gap")]


async def test_an_erased_person_begins_anew(here: Here, desks: Desks) -> None:
    """A repeat of an erased event is another event; what comes after the erasure can be read."""
    sent = event("coupon_redemption", user={"id": "u-back"})
    first = await here.client.score(sent)
    await desks.erase({"user": "u-back"})
    second = await here.client.score(sent)
    assert second.status == 200
    assert second.json["decision_id"] != first.json["decision_id"]
    assert (await here.client.get(f"/v1/decisions/{second.json['decision_id']}")).status == 200
    held = (await desks.held({"user": "u-back"})).json
    assert [one["entry"] for one in held["entries"]] == [second.json["decision_id"]]


async def test_what_comes_in_during_an_erasure_is_erased_or_of_a_new_life(
    here: Here, desks: Desks
) -> None:
    """While events of the person go on, each is erased or readable, and none of before is left."""
    asked = await desks.ask({"user": "u-busy"})
    sent: list[str] = await decided(here, "u-busy", 3)
    begun = await desks.decide(asked.json["id"], "execute")
    assert begun.status == 202
    old = list(sent)

    stop = asyncio.Event()

    async def go_on() -> None:
        while not stop.is_set():
            sent.extend(await decided(here, "u-busy", device={"id": "d-busy"}))

    traffic = asyncio.create_task(go_on())
    await desks.wait_for([asked.json["id"]])
    await asyncio.sleep(1)
    stop.set()
    await traffic
    states = [(await here.client.get(f"/v1/decisions/{one}")).status for one in sent]
    assert set(states) == {200, 410}
    assert states[: len(old)] == [410] * len(old)
    assert states == sorted(states, reverse=True), "a later one is erased, an earlier one is not"
    held = (await desks.held({"user": "u-busy"})).json["entries"]
    assert len(held) == states.count(200)
    linked = await rows(here.settings, _DEAD_LINKS)
    assert not linked


async def test_every_step_is_on_record_without_a_name(here: Here, desks: Desks) -> None:
    """Purposes are sealed with who gave them; no identifier or tag is in what is recorded."""
    person = {"phone": "+8613800138000"}
    await desks.erase(person)
    await desks.held(person)
    found = await recorded_actions(here.settings, "subject.")
    steps = [(one.type, one.what.get("step"), one.who.get("purpose")) for one in found[-4:]]
    assert steps == [
        ("subject.erase_request", None, PURPOSE),
        ("subject.erase", "begun", "as asked"),
        ("subject.erase", "done", None),
        ("subject.export", None, PURPOSE),
    ]
    tag = here.runtime.brain.tagger.tag("phone", "8613800138000")
    said = orjson.dumps([[one.what, one.who] for one in found[-4:]]).decode()
    assert tag not in said
    assert "138001" not in said
    digest = Digests(read_keys(here.settings).tag).of(f"phone:{tag}")
    journal = JournalFile(here.settings.var / "erasures.journal").read()
    assert digest in {record.digest for record in journal}
    text = (here.settings.var / "erasures.journal").read_text()
    assert tag not in text


async def test_what_is_held_is_given_as_json_and_as_a_page(here: Here, desks: Desks) -> None:
    """Facts, decision, reasons, labels, lists and counters; the page is in the language asked."""
    sent = event("coupon_redemption", user={"id": "u-<b>asks</b>"})
    decision = (await here.client.score(sent)).json
    await here.client.score(
        {"labels": [{"event_id": sent["event_id"], "source": "good_customer"}]}, "/v1/labels"
    )
    person = {"user": "u-<b>asks</b>"}
    held = (await desks.held(person)).json
    [entry] = held["entries"]
    assert entry["answer"]["outcome"] == decision["outcome"]
    assert entry["answer"]["event_id"] == sent["event_id"]
    assert "rule_hits" not in entry["answer"]
    assert entry["data"]["facts"]
    assert [one["label"] for one in held["labels"]] == ["honest"]
    assert "user_coupon_redemptions" in {one["series"] for one in held["counters"]}
    for language, word in (("en", "What is held about you"), ("zh", "我们持有的关于您的信息")):
        page = await desks.held(person, format="html", language=language)
        assert page.headers["content-type"].startswith("text/html")
        text = page.content.decode()
        assert word in text
        assert sent["event_id"] in text
        assert "<b>" not in text
    await desks.ask(person, "/v1/audit/restrictions")
    refused = await desks.held(person)
    assert (refused.status, refused.json["code"]) == (451, "subject_restricted")
    assert (await desks.held(person, despite_restriction=True)).status == 200


_ENTRIES = """
SELECT e.*, s.key_id, s.terms FROM ledger_entry e
LEFT JOIN entry_subject s ON s.entry_id = e.entry_id WHERE e.type IN ('decision', 'event')
"""
_DEAD_LINKS = """
SELECT FROM entry_subject s JOIN destroyed_key d ON d.key_id = s.key_id
"""
