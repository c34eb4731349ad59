"""A key-encryption key moves from a file to a key service, and back, while entries are written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.keys.provider import provider_of
from tests.contracts.key_services import AWS, KeyService, started
from tests.integration.rotation_cases import (
    all_open,
    kek_in,
    machine,
    rotation,
    under_load,
    worker,
    wrapped_by,
)


@pytest.fixture(params=["transit", "kms"])
def service(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[KeyService]:
    """A key service, and credentials for it in the environment."""
    for name, value in AWS.items():
        monkeypatch.setenv(name, value)
    base = tmp_path / "service"
    base.mkdir()
    running = started(request.param, base)
    yield running
    running.close()


async def test_a_key_moves_to_a_service_and_back(
    service: KeyService, fresh_postgres_url: str, tmp_path: Path
) -> None:
    """Workers know the service from their settings; a rotation moves the key, twice, without an
    error, and the file that is left holds no key, then holds one again.
    """
    in_clear = machine(tmp_path / "var", fresh_postgres_url)
    known = service.settings(tmp_path / "unused")
    at_service = in_clear.model_copy(
        update={
            "keys": in_clear.keys.model_copy(update={"provider": service.name}),
            "transit": known.transit,
            "kms": known.kms,
        }
    )
    back = at_service.model_copy(update={"keys": in_clear.keys})
    first = kek_in(in_clear.kek_path)
    async with worker(at_service) as one:
        async with under_load(one), rotation(at_service) as rotating:
            moved = await rotating.kek()
        content = in_clear.kek_path.read_bytes()
        assert provider_of(content) == service.name
        assert moved.before == first.kek_id
        assert set(await wrapped_by(fresh_postgres_url)) == {moved.after.hex()}
        # The service is not asked again by those who run.
        with service.locked(in_clear.kek_path):
            await one.append(1, "user:while-locked")
        async with (
            worker(at_service, "two") as two,
            under_load(one, two),
            rotation(back) as rotating,
        ):
            returned = await rotating.kek()
    assert kek_in(in_clear.kek_path).kek_id == returned.after
    assert set(await wrapped_by(fresh_postgres_url)) == {returned.after.hex()}
    entries = one.appended + two.appended
    await all_open(back, entries[:: len(entries) // 50])
