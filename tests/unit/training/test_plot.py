from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from service.cli import build_app
from training.plot.distribution import BINS, distribution_of

VALUES = st.lists(
    st.one_of(st.just(float("nan")), st.floats(-1e12, 1e12), st.integers(0, 5).map(float)),
    max_size=200,
)


@given(honest=VALUES, abusive=VALUES)
def test_every_known_value_is_in_one_bin(honest: list[float], abusive: list[float]) -> None:
    """Counts and unknown values of a group add up to its rows, whatever the values."""
    made = distribution_of("f", {"honest": np.array(honest), "abusive": np.array(abusive)})
    for group, rows in zip(made.groups, (honest, abusive), strict=True):
        assert group.rows == len(rows)
        assert int(group.counts.sum()) == group.rows - group.unknown
        assert group.unknown == int(np.isnan(rows).sum())


def test_few_values_have_bars_of_their_own_and_many_share_bins() -> None:
    """Counts of a handful stay exact; a heavy tail gets bins that grow."""
    few = distribution_of("f", {"all": np.array([0.0, 1.0, 1.0, 3.0])})
    assert (few.values, few.groups[0].counts.tolist()) == ((0.0, 1.0, 3.0), [1, 2, 1])
    many = distribution_of("f", {"all": np.arange(1000.0) + 0.5})
    assert (many.values, many.is_growing) == (None, False)
    assert len(many.groups[0].counts) == BINS
    whole = distribution_of("f", {"all": np.arange(100.0)})
    assert set(whole.groups[0].counts.tolist()) <= {3, 1}, "three whole numbers a bin"
    tail = distribution_of("f", {"all": np.concatenate([np.arange(100.0), [1e9]])})
    assert tail.is_growing


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "features.parquet"
    pl.DataFrame(
        {
            "event_tag": ["a", "b", "c", "d"],
            "observed_ms": [1, 2, 3, 4],
            "event.type": ["login", "login", "checkout", "checkout"],
            "user_orders_30d": [0, 1, None, 7],
            "device_is_new": [True, False, None, True],
        }
    ).write_parquet(path)
    return path


def run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(build_app(words), words)
    return result.exit_code, re.sub(r"\s+", " ", re.sub(r"[│╭╮╰╯─]", " ", result.output))


def test_a_plot_is_a_png_each_and_one_page_without_network(data: Path, tmp_path: Path) -> None:
    """The pictures are there, and the page names no other file or host to load from."""
    out = tmp_path / "plots"
    code, said = run("features", "plot", "all", "--data", str(data), "--out", str(out))
    assert code == 0, said
    assert sorted(path.name for path in out.iterdir()) == [
        "device_is_new.png",
        "index.html",
        "user_orders_30d.png",
    ]
    assert (out / "user_orders_30d.png").read_bytes().startswith(b"\x89PNG")
    page = (out / "index.html").read_text("utf-8")
    assert page.count("<svg") == 2
    assert "Number of checkout events of the user in the last 30d" in page
    assert "最近 30d 内该用户的下单事件次数" in page
    assert not re.search(r"<(script|link|img|iframe)|url\((?!#)|@import", page)


def test_equal_data_gives_equal_pictures(data: Path, tmp_path: Path) -> None:
    """Nothing of the day or of chance is in a picture."""
    pages = []
    for name in ("one", "two"):
        out = tmp_path / name
        assert run("features", "plot", "all", "--data", str(data), "--out", str(out))[0] == 0
        pages.append({path.name: path.read_bytes() for path in out.iterdir()})
    assert pages[0] == pages[1]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["user_order_30d"], "no feature user_order_30d. Did you mean"),
        (["event_tag"], "neither a number"),
        (["all", "--by", "colour"], "no column colour"),
    ],
)
def test_what_cannot_be_drawn_is_said_in_a_sentence(
    data: Path, tmp_path: Path, words: list[str], sentence: str
) -> None:
    code, said = run("features", "plot", *words, "--data", str(data), "--out", str(tmp_path / "x"))
    assert code != 0
    assert sentence in said


def test_a_missing_file_names_the_command_that_makes_it(tmp_path: Path) -> None:
    missing = tmp_path / "none.parquet"
    code, said = run("features", "plot", "all", "--data", str(missing))
    assert code != 0
    assert "touchstone features compute" in said
