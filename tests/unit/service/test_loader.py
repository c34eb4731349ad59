"""Rule sets become rulings beside the traffic, once."""

from __future__ import annotations

import gc
import sys

import pytest

from features.catalog import Catalog, CatalogError
from rules.errors import ContentError
from rules.files import RuleSetFiles
from service.live.loader import KEPT_RULINGS, Loader
from tests.deploying import pack_of, set_of

SERIES = """\
series:
  - name: user_test_logins
    entity: user
    measure: {measure}
    windows: [1h]
    events: [login]
"""


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    """The shipped catalog."""
    return Catalog.load()


async def test_a_ruling_is_loaded_once_and_kept(catalog: Catalog) -> None:
    """The same version is the same ruling, warm as it is, until others have taken its place."""
    loader = Loader(catalog)
    files = set_of(pack_of("mark-0"))
    ruling = await loader.ruling(files)
    assert await loader.ruling(files) is ruling
    for number in range(1, KEPT_RULINGS + 1):
        await loader.ruling(set_of(pack_of(f"mark-{number}")))
    assert not loader.has(files.version)


async def test_what_is_wrong_stays_wrong(catalog: Catalog) -> None:
    """A set that cannot be used is loaded once, and refused the same way ever after."""
    loader, broken = Loader(catalog), set_of(pack_of("mark-1", when="no.such.fact == 1"))
    with pytest.raises(ContentError) as first:
        await loader.ruling(broken)
    with pytest.raises(ContentError) as again:
        await loader.ruling(broken)
    assert again.value is first.value  # a second load would make another


async def test_the_interpreter_is_as_it_was(catalog: Catalog) -> None:
    """After loading, threads switch as often as before and garbage is collected."""
    before = sys.getswitchinterval()
    await Loader(catalog).ruling(RuleSetFiles.load())
    assert sys.getswitchinterval() == before
    assert gc.isenabled()


async def test_series_of_several_sets_are_one_catalog(catalog: Catalog) -> None:
    """Series that two sets declare alike are one; declared differently they are refused."""
    loader = Loader(catalog)
    counting = [
        set_of(pack_of(f"mark-{number}"), series=SERIES.format(measure="count"))
        for number in range(2)
    ]
    other = set_of(pack_of("mark-2"), series=SERIES.format(measure="last_seen"))
    extended = await loader.catalog(counting)
    assert "user_test_logins_1h" in extended.fact_types
    assert await loader.catalog(counting[:1]) is extended
    assert await loader.catalog([set_of(pack_of("mark-3"))]) is catalog
    with pytest.raises(CatalogError):
        await loader.catalog([*counting, other])
