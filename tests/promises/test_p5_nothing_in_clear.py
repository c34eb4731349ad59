"""P5: no direct identifier in clear anywhere. The long form: `make soak ARGS="leaks"`."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.planted import Planted, Watch, bytes_of, texts_of
from tests.soak.leaks import leaks


async def test_p5_nothing_is_in_clear(tmp_path: Path) -> None:
    """Three hundred values in every field, route and error leave nothing readable in files, rows,
    Valkey, logs, metrics, exports, backups or answers; one that is planted in clear is found."""
    found = await leaks(tmp_path, values=300, seed=17)
    assert found.found == {}
    assert found.crashed == 0
    assert found.accepted > 30
    assert found.refused > 500


@pytest.mark.parametrize("kind", Planted(0).kinds)
def test_p5_every_form_would_be_found(kind: str) -> None:
    """Whatever form a value has, and wherever it stands among other bytes, it is seen."""
    rng = random.Random(kind)
    value = Planted(23)(kind)
    watch = Watch([value, Planted(29)(kind)])
    for form in texts_of(value) | bytes_of(value):
        around = rng.randbytes(rng.randrange(40)), rng.randbytes(rng.randrange(40))
        assert watch.found_in(form.join(around)) == {value}
        assert watch.found_in(form[1:].join(around)) <= {value}
    assert watch.found_in(rng.randbytes(10_000)) == set()
