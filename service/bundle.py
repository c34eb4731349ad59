"""What is a model bundle, and may this one be used with this catalog?

A bundle is a directory: `model.txt` (LightGBM's text format) and `manifest.json` (features in
order, schema hash, calibration table, causes, metrics, fingerprints). Nothing in it is code and
nothing is unpickled. Invariant: a `Bundle` that exists was checked; its version is the SHA-256 of
the manifest's bytes, and the manifest holds the SHA-256 of the model, so the version names both.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Protocol

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    JsonValue,
    ValidationError,
    model_validator,
)

BUNDLE_FORMAT = "touchstone-bundle/1"
MODEL_FILE = "model.txt"
MANIFEST_FILE = "manifest.json"
CURRENT_FILE = "current"
MAX_CALIBRATION_POINTS = 64
_SHOWN = 16  # hex digits of a version in directory names and messages
_DIRECTORY_NAME = re.compile(r"[0-9a-f]{16}")

MODEL_CAUSES = frozenset(
    {
        "MODEL_DEVICE_SHARED",
        "MODEL_ACCOUNT_NEW",
        "MODEL_VELOCITY_HIGH",
        "MODEL_COUPON_BEHAVIOUR",
        "MODEL_RETURN_BEHAVIOUR",
        "MODEL_LOGIN_BEHAVIOUR",
        "MODEL_PAYMENT_BEHAVIOUR",
        "MODEL_NETWORK",
        "MODEL_DEVICE_SIGNALS",
        "MODEL_BASKET",
        "MODEL_EMAIL",
        "MODEL_OTHER",
    }
)
"""The reason codes that a model's contributions are grouped into; texts in `rules/reasons.yaml`."""


class BundleError(Exception):
    """A bundle cannot be used. Every leaf has a stable `code`."""

    code = "bundle_error"


class BundleMissing(BundleError):
    """There is no bundle where one was expected, or a file of it is missing."""

    code = "bundle_missing"


class BundleMismatch(BundleError):
    """The bundle is damaged, of another format, or made for another catalog."""

    code = "bundle_mismatch"


class FeatureSchema(Protocol):
    """The part of the catalog that a bundle must agree with."""

    @property
    def model_features(self) -> tuple[str, ...]:
        """Names of the model's inputs, in the order of a row."""
        ...

    @property
    def schema_hash(self) -> str:
        """Hash over names, types and definitions of the model's inputs."""
        ...


class Calibration(BaseModel):
    """A non-decreasing table from the model's raw probability to the calibrated one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    x: tuple[float, ...]
    y: tuple[float, ...]

    @model_validator(mode="after")
    def _check(self) -> Calibration:
        if not 1 <= len(self.x) == len(self.y) <= MAX_CALIBRATION_POINTS:
            raise ValueError(f"x and y need the same length, 1 to {MAX_CALIBRATION_POINTS}")
        if any(a >= b for a, b in pairwise(self.x)):
            raise ValueError("x must increase strictly")
        if any(a > b for a, b in pairwise(self.y)) or not 0 <= self.y[0] <= self.y[-1] <= 1:
            raise ValueError("y must not decrease and must stay within 0 and 1")
        return self


class Manifest(BaseModel):
    """`manifest.json`: everything about a model but its trees.

    `neutral`: event type -> feature -> value that stands for an unknown one. It holds the features
    that were always known for that type when the model was trained: LightGBM would take their NaN
    for 0, or for what NaN meant at another type.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: str
    created_at: AwareDatetime
    features: tuple[str, ...]
    schema_hash: str
    calibration: Calibration
    causes: dict[str, str]
    neutral: dict[str, dict[str, float]] = {}
    metrics: dict[str, JsonValue]
    data_fingerprint: str
    model_sha256: str

    def to_bytes(self) -> bytes:
        """Return the canonical bytes (sorted keys, UTF-8); their SHA-256 is the version."""
        body = self.model_dump(mode="json")
        text = json.dumps(body, sort_keys=True, ensure_ascii=False, indent=1, allow_nan=False)
        return text.encode() + b"\n"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle that was read and checked. `version` is 64 hex digits."""

    directory: Path
    version: str
    manifest: Manifest
    model_text: str


def read_bundle(directory: Path, schema: FeatureSchema) -> Bundle:
    """Read and check the bundle in `directory`.

    Raises `BundleMissing` when a file is not there and `BundleMismatch` (naming both sides) when
    format, hash of the model, schema hash, features or causes do not fit.
    """
    manifest_bytes = _read(directory / MANIFEST_FILE)
    model_bytes = _read(directory / MODEL_FILE)
    manifest = parse_manifest(manifest_bytes, directory)
    found = hashlib.sha256(model_bytes).hexdigest()
    if found != manifest.model_sha256:
        raise BundleMismatch(
            f"{directory / MODEL_FILE}: SHA-256 {found[:_SHOWN]}… differs from "
            f"{manifest.model_sha256[:_SHOWN]}… in the manifest; the file was changed or damaged"
        )
    _check_schema(manifest, schema, directory)
    version = hashlib.sha256(manifest_bytes).hexdigest()
    return Bundle(directory, version, manifest, model_bytes.decode())


def parse_manifest(data: bytes, where: Path) -> Manifest:
    """Parse `manifest.json` without looking at the model; raises `BundleMismatch`."""
    try:
        fields = json.loads(data)
    except ValueError as error:
        raise BundleMismatch(f"{where / MANIFEST_FILE} is not JSON: {error}") from None
    found = fields.get("format") if isinstance(fields, dict) else None
    if found != BUNDLE_FORMAT:
        raise BundleMismatch(
            f"{where}: bundle format {found!r} is not readable here, this version reads "
            f"{BUNDLE_FORMAT!r}; train again with `touchstone train`"
        )
    try:
        return Manifest.model_validate_json(data)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in item['loc']) or 'manifest'}: {item['msg']}"
            for item in error.errors(include_url=False, include_input=False)
        )
        raise BundleMismatch(f"{where / MANIFEST_FILE}: {problems}") from None


def current_bundle(var: Path) -> Path | None:
    """Return the directory of the live bundle under `var`, or None when none was made yet.

    Raises `BundleMismatch` when `bundles/current` does not hold the name of a bundle, and
    `BundleMissing` when it names one that is not there.
    """
    pointer = var / "bundles" / CURRENT_FILE
    try:
        name = pointer.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
    if not _DIRECTORY_NAME.fullmatch(name):
        raise BundleMismatch(
            f"{pointer} must hold the 16 hex digits of a bundle, not {name[:40]!r}"
        )
    directory = pointer.parent / name
    if not directory.is_dir():
        raise BundleMissing(f"{pointer} names {name}, but {directory} does not exist")
    return directory


def _check_schema(manifest: Manifest, schema: FeatureSchema, directory: Path) -> None:
    if manifest.features != schema.model_features or manifest.schema_hash != schema.schema_hash:
        ours, theirs = set(schema.model_features), set(manifest.features)
        details = [
            f"{label}: {', '.join(sorted(names)[:5])}{' …' if len(names) > 5 else ''}"
            for label, names in (
                ("only in the catalog", ours - theirs),
                ("only in the bundle", theirs - ours),
            )
            if names
        ] or ["same names, but their order or a definition differs"]
        raise BundleMismatch(
            f"{directory}: made for feature schema {manifest.schema_hash[:_SHOWN]}, the catalog "
            f"has {schema.schema_hash[:_SHOWN]} ({'; '.join(details)}); "
            "train again with `touchstone train`"
        )
    unknown = sorted(set(manifest.causes.values()) - MODEL_CAUSES)
    missing = sorted(set(manifest.features) - set(manifest.causes))
    if unknown or missing:
        raise BundleMismatch(
            f"{directory / MANIFEST_FILE}: causes are incomplete "
            f"(features without a cause: {missing[:5]}, unknown causes: {unknown[:5]})"
        )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise BundleMissing(f"{path} does not exist") from None
