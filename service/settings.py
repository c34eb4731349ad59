"""What can be set, and what is it when nobody sets it?

Every setting has a name `TOUCHSTONE_GROUP__NAME`, one line of description (shown by
`touchstone config show`) and a default that works on one machine. A name that starts with
`TOUCHSTONE_` and is no setting is an error, never ignored: a mistyped limit is no limit.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.setting_groups import (
    CollectorSettings,
    ExportSettings,
    GeoSettings,
    Group,
    HttpSettings,
    KeySettings,
    KmsSettings,
    LedgerSettings,
    ListSettings,
    PostgresSettings,
    ProfileSettings,
    RetentionSettings,
    RuleSettings,
    ShopSettings,
    TransitSettings,
    ValkeySettings,
)

__all__ = ["PREFIX", "Settings", "SettingsError", "ShopSettings", "load_settings", "setting_rows"]

PREFIX = "TOUCHSTONE_"
# What `touchstone geo install` leaves under VAR/geo, and what may be put there by hand.
GEO_FILES = {
    "country": "country.mmdb",
    "asn": "asn.mmdb",
    "tor": "tor.txt",
    "hosting": "hosting.txt",
    "bins": "bins.csv",
}
# Not settings of the service: where tests find data sets, and the key of `touchstone replay`.
OUTSIDE_NAMES = frozenset({"TOUCHSTONE_DATA", "TOUCHSTONE_API_KEY"})


class SettingsError(Exception):
    """The environment sets something that cannot be; the text lists every problem, a line each."""

    code = "settings_invalid"


class Settings(BaseSettings):
    """All settings, from the environment."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    var: Path = Field(Path("var"), description="Directory of everything the service writes")
    clock: Literal["system", "event"] = Field(
        "system",
        description="`event` makes time follow `occurred_at`: for replays of old data only",
    )
    rules_dir: Path | None = Field(
        None,
        description="Directory of your first rule set (packs/, policy.yaml …); unset: the shipped",
    )
    catalog: Path | None = Field(None, description="Your feature catalog; unset: the shipped one")
    http: HttpSettings = Field(default_factory=HttpSettings)
    valkey: ValkeySettings = Field(default_factory=ValkeySettings)
    postgres: PostgresSettings = Field(default_factory=PostgresSettings)
    keys: KeySettings = Field(default_factory=KeySettings)
    transit: TransitSettings = Field(default_factory=TransitSettings)
    kms: KmsSettings = Field(default_factory=KmsSettings)
    shop: ShopSettings = Field(default_factory=ShopSettings)
    ledger: LedgerSettings = Field(default_factory=LedgerSettings)
    rules: RuleSettings = Field(default_factory=RuleSettings)
    lists: ListSettings = Field(default_factory=ListSettings)
    exports: ExportSettings = Field(default_factory=ExportSettings)
    retention: RetentionSettings = Field(default_factory=RetentionSettings)
    profiles: ProfileSettings = Field(default_factory=ProfileSettings)
    geo: GeoSettings = Field(default_factory=GeoSettings)
    collector: CollectorSettings = Field(default_factory=CollectorSettings)

    @property
    def kek_path(self) -> Path:
        """Where the key-encryption key is."""
        return self.keys.kek_file or self.var / "keys" / "kek.key"

    @property
    def has_profiles(self) -> bool:
        """Whether decisions read profiles."""
        if self.profiles.use == "auto":
            return (self.var / "profiles" / "current").exists()
        return self.profiles.use == "on"

    def geo_paths(self) -> dict[str, Path | None]:
        """Where each geo file is, as `GeoTable.open` names it; None: there is none.

        A file that was named must be there; the ones under VAR/geo may be missing.
        """
        found: dict[str, Path | None] = {}
        for name, file in GEO_FILES.items():
            named = getattr(self.geo, f"{name}_file")
            default = self.var / "geo" / file
            found[f"{name}_path"] = named or (default if default.exists() else None)
        return found

    @property
    def signer_dir(self) -> Path:
        """Where the signer's key and memory are."""
        return self.ledger.signer_dir or self.var / "signer"

    @property
    def tag_key_path(self) -> Path:
        """Where the key of the tags is."""
        return self.keys.tag_key_file or self.var / "keys" / "tag.key"


def load_settings(var: Path | None = None) -> Settings:
    """Read the settings from the environment; `var` (a command's `--var`) goes before it.

    Raises `SettingsError` with every problem. No value of a setting appears in its text.
    """
    problems = [
        f"{name} is not a setting" + (f"; did you mean {near[0]}?" if near else "")
        for name in sorted(os.environ)
        if name.startswith(PREFIX) and not _is_known(name)
        for near in [difflib.get_close_matches(name, [row[0] for row in setting_rows()], 1, 0.7)]
    ]
    if problems:
        raise SettingsError("\n".join(problems))
    try:
        return Settings() if var is None else Settings(var=var)
    except ValidationError as error:
        raise SettingsError("\n".join(_problem(dict(item)) for item in error.errors())) from None
    except ValueError:  # pydantic-settings could not parse the text of a table
        names = f"{PREFIX}SHOP__RATES, {PREFIX}SHOP__MINOR_UNITS or {PREFIX}COLLECTOR__ORIGINS"
        raise SettingsError(f"{names} is not JSON") from None


def setting_rows(settings: Settings | None = None) -> Iterator[tuple[str, str, str]]:
    """Yield name, value (empty without settings; URLs redacted) and description of each setting."""
    for name, field in Settings.model_fields.items():
        group = field.annotation
        if isinstance(group, type) and issubclass(group, Group):
            for inner, inner_field in group.model_fields.items():
                value = getattr(getattr(settings, name), inner) if settings else ""
                yield (
                    f"{PREFIX}{name}__{inner}".upper(),
                    _shown(value),
                    inner_field.description or "",
                )
        else:
            value = getattr(settings, name) if settings else ""
            yield f"{PREFIX}{name}".upper(), _shown(value), field.description or ""


def _is_known(name: str) -> bool:
    known = {row[0] for row in setting_rows()}
    return name in known | OUTSIDE_NAMES


def _problem(item: dict[str, Any]) -> str:
    name = PREFIX + "__".join(str(part) for part in item["loc"]).upper()
    text = str(item["msg"]).removeprefix("Value error, ")
    return f"{name}: {text}"


def _shown(value: object) -> str:
    if value is None:
        return "(unset)"
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    if isinstance(value, tuple):
        return ", ".join(value) or "(none)"
    text = str(value)
    if "://" not in text:
        return text
    scheme, _, rest = text.partition("://")
    user, at, place = rest.rpartition("@")
    return f"{scheme}://{'***' if user else ''}{at}{place.partition('?')[0]}"
