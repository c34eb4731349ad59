"""The page on profiles names every field, and tests and settings that there are."""

from __future__ import annotations

import re
from pathlib import Path

from features.profiles.schema import RFM_SEGMENTS, VIEWS
from service.settings import setting_rows

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "features" / "feast_repo" / "README.md").read_text("utf-8")


def test_each_sentence_names_a_test_that_there_is() -> None:
    """What can be relied on is backed by tests, each of which exists."""
    named = re.findall(r"^\| [^|]+ \| `([^`:]+)::(test_\w+)` \|$", PAGE, re.MULTILINE)
    assert len(named) >= 10
    missing = [
        f"{file}::{test}"
        for file, test in named
        if not re.search(rf"^(async )?def {test}\(", (ROOT / file).read_text("utf-8"), re.MULTILINE)
    ]
    assert missing == []


def test_every_field_and_segment_is_explained() -> None:
    """No field and no segment is left out, and none is described that there is not."""
    section = PAGE.partition("## The fields")[2].partition("\n## ")[0]
    first = " ".join(line.split("|")[1] for line in section.splitlines() if line.startswith("| `"))
    described = set(re.findall(r"`(\w+)`", first))
    assert described == {field.name for view in VIEWS.values() for field in view.fields}
    for number, segment in enumerate(RFM_SEGMENTS):
        assert f"{number} `{segment}`" in section


def test_every_setting_that_is_named_is_one() -> None:
    """The page speaks of no setting that the service would refuse."""
    known = {name for name, _, _ in setting_rows()}
    assert set(re.findall(r"TOUCHSTONE_\w+__\w+", PAGE)) <= known
