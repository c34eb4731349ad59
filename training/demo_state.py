"""What does the demo remember between two runs? Where its stream ended, and its API key.

Both live under `var`, so that a second run goes on where the first one stopped: the same shop and
customers, later times, new ids.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from service.actions import Actions
from service.api_key import ApiKey, KeyHash, create_key, key_id_of, list_keys
from service.cli.database import with_database
from service.cli.recording import on_this_machine, with_actions
from service.people.first import first_people, has_people
from service.secrets_files import read_keys
from service.settings import Settings
from training.simulator.stream import Traffic

SEED = 2  # not that of the training, so that the model meets people whom it never saw
FIRST_DAYS = 14
FEWEST_EVENTS = 100
MERCHANTS_SHARE = 0.08
KEY_NAME = "demo"
KEY_SCOPES = ("score", "events:write", "decisions:read", "labels:write")
# Who plays the four eyes: one writes rules, the other approves them; so with exports of the record.
PEOPLE = {
    "ana": ("admin", "analyst"),
    "bo": ("admin", "approver"),
    "cy": ("compliance",),
    "di": ("compliance",),
}


@dataclass(frozen=True, slots=True)
class DemoState:
    """How far the demo's stream has come. Times are ISO 8601 in UTC."""

    settled: str
    """When the first stream began: customers of before signed up before this."""
    population: int
    until: str
    """Up to here events were replayed."""
    runs: int

    @classmethod
    def load(cls, var: Path) -> Self | None:
        """Return what the last run left, None at the first run or when it cannot be read."""
        try:
            fields = json.loads(_state_path(var).read_text(encoding="utf-8"))
            state = cls(**fields)
            for moment in (state.settled, state.until):
                datetime.fromisoformat(moment)
        except (OSError, ValueError, TypeError):
            return None
        return state

    def save(self, var: Path) -> None:
        """Keep this for the next run."""
        path = _state_path(var)
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
        fresh.replace(path)


def next_traffic(last: DemoState | None, events: int, now: datetime) -> Traffic:
    """Return the traffic from where the last run ended up to `now`.

    A first run gets `events` over two weeks; later ones go on at that pace, and get a hundred at
    least, so that there is something to see.
    """
    if last is None:
        since = now - timedelta(days=FIRST_DAYS)
        return Traffic(
            events,
            SEED,
            since,
            now,
            "demo1",
            population=events // 12,
            settled=since,
            merchants_share=MERCHANTS_SHARE,
        )
    since = min(datetime.fromisoformat(last.until), now - timedelta(minutes=1))
    pace = events / timedelta(days=FIRST_DAYS).total_seconds()
    wanted = int(pace * (now - since).total_seconds())
    return Traffic(
        max(FEWEST_EVENTS, min(events, wanted)),
        SEED,
        since,
        now,
        f"demo{last.runs + 1}",
        population=last.population,
        settled=datetime.fromisoformat(last.settled),
        merchants_share=MERCHANTS_SHARE,
    )


def state_after(last: DemoState | None, traffic: Traffic, until: str | None) -> DemoState:
    """Return what to remember after a replay whose last answered event occurred at `until`."""
    settled = traffic.settled or traffic.since
    return DemoState(
        settled=settled.astimezone(UTC).isoformat(),
        population=traffic.population or 0,
        until=until or traffic.since.astimezone(UTC).isoformat(),
        runs=(last.runs if last else 0) + 1,
    )


def demo_key(settings: Settings) -> str:
    """Return the demo's API key: that of the last run while it is good, else a new one.

    The database must be reachable: a running service on this `var`, or servers of one's own.
    """
    kept = _kept(settings, "api-key")
    hashed = KeyHash(read_keys(settings).tag)

    async def act(connection: Any) -> str:
        for row in await list_keys(connection):
            if _is_good(row, kept, hashed) and set(KEY_SCOPES) <= row.scopes:
                return kept
        return (await create_key(connection, hashed, KEY_NAME, KEY_SCOPES))[1]

    return _keep(settings, "api-key", with_database(settings, act), kept)


def demo_people(settings: Settings) -> dict[str, str]:
    """Return the keys of the demo's people, made at the first run.

    Empty where other people are: the demo makes nobody there.
    """
    hashed = KeyHash(read_keys(settings).tag)

    async def act(actions: Actions) -> dict[str, str]:
        who = on_this_machine()
        async with actions.connection() as connection:
            is_new = not await has_people(connection)
            rows = await list_keys(connection)
        if is_new:
            async with actions.action("people.first", who, people=list(PEOPLE)) as action:
                await first_people(action.connection, PEOPLE)
        found: dict[str, str] = {}
        for person in PEOPLE:
            kept = _kept(settings, person)
            if any(row.person == person and _is_good(row, kept, hashed) for row in rows):
                found[person] = kept
            elif is_new:
                async with actions.action("keys.create", who, person=person) as action:
                    _, key = await create_key(
                        action.connection, hashed, f"demo {person}", (), person=person
                    )
                found[person] = _keep(settings, person, key, kept)
        return found

    return with_actions(settings, act)


def _is_good(row: ApiKey, kept: str, hashed: KeyHash) -> bool:
    return row.key_id == key_id_of(kept) and row.hash == hashed(kept) and row.revoked_at is None


def _kept(settings: Settings, name: str) -> str:
    try:
        return _key_path(settings, name).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _keep(settings: Settings, name: str, key: str, kept: str) -> str:
    """Write a key where only its owner can read it, unless it is there already."""
    if key != kept:
        path = _key_path(settings, name)
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(key + "\n")
    return key


def _key_path(settings: Settings, name: str) -> Path:
    return settings.var / "keys" / f"demo-{name}"


def _state_path(var: Path) -> Path:
    return var / "demo.json"
