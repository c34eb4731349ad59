"""A bundle is read only when everything in it fits; otherwise the message says what does not."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import lightgbm
import numpy as np
import pytest

from service.bundle import (
    BUNDLE_FORMAT,
    BundleMismatch,
    BundleMissing,
    Calibration,
    Manifest,
    current_bundle,
    read_bundle,
)

FEATURES = ("device_distinct_users_24h", "device_distinct_users_7d", "event_amount", "event_new")
SCHEMA_HASH = "ab" * 32
CAUSES = dict(
    zip(
        FEATURES,
        ("MODEL_DEVICE_SHARED", "MODEL_DEVICE_SHARED", "MODEL_BASKET", "MODEL_ACCOUNT_NEW"),
        strict=True,
    )
)


class Schema:
    """A catalog's face towards a bundle."""

    def __init__(
        self, features: tuple[str, ...] = FEATURES, schema_hash: str = SCHEMA_HASH
    ) -> None:
        self.model_features = features
        self.schema_hash = schema_hash


def rows(count: int, seed: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Random rows with a tenth of the values missing."""
    generator = np.random.default_rng(seed)
    matrix = generator.normal(size=(count, len(FEATURES)))
    matrix[generator.random(matrix.shape) < 0.1] = np.nan
    return matrix


def tiny_model(seed: int = 1) -> str:
    """Train a small real model and return its text."""
    matrix = rows(2000, seed)
    label = (np.nan_to_num(matrix[:, 0]) + np.nan_to_num(matrix[:, 2]) > 0.5).astype(float)
    options = {"objective": "binary", "num_leaves": 15, "verbose": -1, "num_threads": 1}
    data = lightgbm.Dataset(matrix, label, feature_name=list(FEATURES))
    text: str = lightgbm.train(options, data, num_boost_round=20).model_to_string()
    return text


def bundle_at(
    directory: Path,
    model_text: str,
    x: tuple[float, ...] = (0.0, 1.0),
    y: tuple[float, ...] = (0.0, 1.0),
    changes: Mapping[str, object] | None = None,
) -> Path:
    """Write a bundle by hand, with `changes` to its manifest."""
    fields: dict[str, object] = {
        "format": BUNDLE_FORMAT,
        "created_at": datetime(2026, 1, 1, tzinfo=UTC),
        "features": FEATURES,
        "schema_hash": SCHEMA_HASH,
        "calibration": {"x": x, "y": y},
        "causes": CAUSES,
        "metrics": {"auc": 0.9},
        "data_fingerprint": "cd" * 32,
        "model_sha256": hashlib.sha256(model_text.encode()).hexdigest(),
    }
    manifest = Manifest.model_validate({**fields, **(changes or {})})
    (directory / "model.txt").write_text(model_text)
    (directory / "manifest.json").write_bytes(manifest.to_bytes())
    return directory


def test_version_is_the_hash_of_the_manifest(tmp_path: Path) -> None:
    """Reading gives back what was written, under the SHA-256 of the manifest's bytes."""
    bundle = read_bundle(bundle_at(tmp_path, "tree\n"), Schema())
    assert bundle.version == hashlib.sha256((tmp_path / "manifest.json").read_bytes()).hexdigest()
    assert (bundle.model_text, bundle.manifest.features) == ("tree\n", FEATURES)


def test_changed_model_is_refused(tmp_path: Path) -> None:
    """One changed byte of the model is found."""
    bundle_at(tmp_path, "tree\n")
    (tmp_path / "model.txt").write_text("trap\n")
    with pytest.raises(BundleMismatch, match="changed or damaged"):
        read_bundle(tmp_path, Schema())


def test_other_schema_is_refused_naming_the_differences(tmp_path: Path) -> None:
    """The message holds both hashes and the names that only one side has."""
    bundle_at(tmp_path, "tree\n")
    other = Schema((*FEATURES[:3], "event_hour"), "ef" * 32)
    with pytest.raises(BundleMismatch) as caught:
        read_bundle(tmp_path, other)
    text = str(caught.value)
    for part in ("abababababababab", "efefefefefefefef", "event_hour", "event_new", "train again"):
        assert part in text


def test_same_names_in_other_order_are_refused(tmp_path: Path) -> None:
    """The order of the features is part of the schema."""
    bundle_at(tmp_path, "tree\n")
    with pytest.raises(BundleMismatch, match="order or a definition"):
        read_bundle(tmp_path, Schema(FEATURES[::-1]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "touchstone-bundle/9"}, "bundle format 'touchstone-bundle/9'"),
        ({"causes": {}}, "causes are incomplete"),
        ({"causes": CAUSES | {"event_new": "MODEL_MAGIC"}}, "MODEL_MAGIC"),
    ],
)
def test_wrong_manifest_is_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    """Another format and incomplete causes are named."""
    bundle_at(tmp_path, "tree\n", changes=change)
    with pytest.raises(BundleMismatch, match=message):
        read_bundle(tmp_path, Schema())


def test_unreadable_manifest_lists_its_problems(tmp_path: Path) -> None:
    """Missing and unknown fields are all named at once; no JSON is said plainly."""
    bundle_at(tmp_path, "tree\n")
    path = tmp_path / "manifest.json"
    fields = json.loads(path.read_bytes())
    del fields["metrics"]
    path.write_text(json.dumps(fields | {"pickle": "gASV"}))
    with pytest.raises(BundleMismatch, match=r"metrics: .*pickle: "):
        read_bundle(tmp_path, Schema())
    path.write_text("{")
    with pytest.raises(BundleMismatch, match="is not JSON"):
        read_bundle(tmp_path, Schema())


def test_missing_files_are_named(tmp_path: Path) -> None:
    """No directory, no manifest, no model: each is said with its path."""
    with pytest.raises(BundleMissing, match=r"manifest\.json does not exist"):
        read_bundle(tmp_path / "nowhere", Schema())
    bundle_at(tmp_path, "tree\n")
    (tmp_path / "model.txt").unlink()
    with pytest.raises(BundleMissing, match=r"model\.txt does not exist"):
        read_bundle(tmp_path, Schema())


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ((), ()),
        ((0.0, 1.0), (0.0,)),
        ((0.5, 0.5), (0.0, 1.0)),
        ((0.0, 1.0), (0.5, 0.4)),
        ((0.0, 1.0), (0.0, 1.5)),
        (tuple(i / 100 for i in range(65)), tuple(i / 100 for i in range(65))),
    ],
)
def test_bad_calibration_is_refused(x: tuple[float, ...], y: tuple[float, ...]) -> None:
    """A table must be non-empty, short, strictly increasing in x, monotone and within [0, 1]."""
    with pytest.raises(ValueError, match=r"length|increase|decrease"):
        Calibration(x=x, y=y)


def test_current_bundle_follows_the_pointer(tmp_path: Path) -> None:
    """None before the first training; never outside of `bundles`."""
    assert current_bundle(tmp_path) is None
    live = tmp_path / "bundles" / ("0" * 16)
    live.mkdir(parents=True)
    pointer = tmp_path / "bundles" / "current"
    pointer.write_text("0" * 16 + "\n")
    assert current_bundle(tmp_path) == live
    pointer.write_text("f" * 16)
    with pytest.raises(BundleMissing, match="does not exist"):
        current_bundle(tmp_path)
    pointer.write_text("../../etc")
    with pytest.raises(BundleMismatch, match="16 hex digits"):
        current_bundle(tmp_path)
