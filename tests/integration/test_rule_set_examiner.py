"""The child process that looks into rule sets: what it may, and what it cannot hurt."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from features.catalog import DEFAULT_PATH, Catalog
from rules.files import RuleSetFiles
from service.rule_sets import examiner as module
from service.rule_sets.checked import check
from service.rule_sets.errors import RuleSetRejected
from service.rule_sets.examiner import CatalogChanged, Examiner, NotExamined
from tests.rule_sets import COUPONS, FIRST, changed, variant

SERIES = """\
series:
  - name: user_coupon_redemptions
"""


@pytest.fixture(scope="module")
def base() -> Catalog:
    """The shop's catalog."""
    return Catalog.load()


@pytest.fixture
def examiner(base: Catalog) -> Examiner:
    """An examiner for the shop's catalog."""
    return Examiner(base, DEFAULT_PATH, "code")


async def test_the_child_says_what_the_check_says(examiner: Examiner, base: Catalog) -> None:
    """What is found beside the traffic is what `rules check` finds."""
    for files in (FIRST, changed(FIRST, "has_coupon &&", "has_cupon &&", COUPONS)):
        assert await examiner.check(files, []) == check(files, base, [])


async def test_what_never_ends_is_ended(
    examiner: Examiner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A child that takes too long is killed, and the request refused."""
    (tmp_path / "endless.py").write_text("import time\ntime.sleep(100)\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(module, "MODULE", "endless")
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.5)
    async with asyncio.timeout(30):
        with pytest.raises(NotExamined):
            await examiner.check(FIRST, [])


async def test_a_request_that_goes_away_takes_its_child(examiner: Examiner) -> None:
    """Cancelling ends the child, and the next one has its turn."""
    task = asyncio.create_task(examiner.check(FIRST, []))
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await examiner.compare(FIRST, variant(4)))["rules"]


async def test_secrets_stay_with_the_service(
    examiner: Examiner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child has no setting of the service in its environment."""
    monkeypatch.setenv("TOUCHSTONE_POSTGRES__URL", "postgresql://secret")
    assert not any(name.startswith("TOUCHSTONE") for name in module._environment(os.environ))


async def test_series_of_a_set_are_a_part_of_its_catalog(examiner: Examiner, base: Catalog) -> None:
    """A set without series has the shop's catalog; series that cannot be are refused."""
    assert await examiner.catalog_version(None) == base.version
    with pytest.raises(RuleSetRejected, match=r"series\.yaml"):
        await examiner.catalog_version(SERIES)
    found = await examiner.check(RuleSetFiles.of({**FIRST.texts, "series.yaml": SERIES}), [])
    assert found["passed"] is False
    assert found["problems"][0]["file"] == "series.yaml"


async def test_a_catalog_that_changed_is_said(base: Catalog, tmp_path: Path) -> None:
    """Where the file is not what the service runs with, no check is made that counts nowhere."""
    path = tmp_path / "catalog.yaml"
    text = DEFAULT_PATH.read_text(encoding="utf-8")
    other = text.replace("windows: [30d],", "windows: [30d, 31d],", 1)
    assert other != text
    path.write_text(other, encoding="utf-8")
    with pytest.raises(CatalogChanged):
        await Examiner(base, path, "code").check(FIRST, [])
