"""What can be set, and what is it when nobody sets it?

Every setting has a name `TOUCHSTONE_GROUP__NAME`, one line of description (shown by
`touchstone config show`) and a default that works on one machine. A name that starts with
`TOUCHSTONE_` and is no setting is an error, never ignored: a mistyped limit is no limit.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "TOUCHSTONE_"
_HOST = re.compile(r"[a-z0-9.-]+(:[0-9]{1,5})?")
# Not settings of the service: where tests find data sets, and the key of `touchstone replay`.
OUTSIDE_NAMES = frozenset({"TOUCHSTONE_DATA", "TOUCHSTONE_API_KEY"})

# ISO 4217 minor units that differ from 2.
MINOR_UNITS = {
    "BHD": 3, "CLP": 0, "ISK": 0, "JOD": 3, "JPY": 0, "KRW": 0, "KWD": 3, "OMR": 3, "TND": 3,
    "UGX": 0, "VND": 0, "XAF": 0, "XOF": 0,
}  # fmt: skip

# Yuan for one unit, rounded; close enough for thresholds. Set your own for anything finer.
CNY_RATES = {
    "AUD": "4.70", "CAD": "5.15", "CHF": "8.60", "EUR": "8.10", "GBP": "9.50", "HKD": "0.92",
    "JPY": "0.048", "KRW": "0.0051", "MOP": "0.89", "MYR": "1.65", "NZD": "4.25", "SGD": "5.50",
    "THB": "0.21", "TWD": "0.23", "USD": "7.15", "VND": "0.00028",
}  # fmt: skip


class SettingsError(Exception):
    """The environment sets something that cannot be; the text lists every problem, a line each."""

    code = "settings_invalid"


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class HttpSettings(_Group):
    """The HTTP API."""

    host: str = Field("127.0.0.1", description="Address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on (0: any free one)")
    max_body_bytes: int = Field(65536, ge=1024, description="Longer request bodies are refused")
    budget_ms: int = Field(150, ge=5, description="Time that one request may take")
    max_in_flight: int = Field(
        256, ge=1, description="Requests under way in one worker; more are turned away with 503"
    )


class _Store(_Group):
    url_file: Path | None = Field(
        None, description="File that holds the URL, for those that contain a password"
    )

    @model_validator(mode="before")
    @classmethod
    def _url_from_file(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("url_file") and not values.get("url"):
            try:
                text = Path(values["url_file"]).read_text(encoding="utf-8")
            except OSError as error:
                raise ValueError(f"cannot read {values['url_file']}: {error.strerror}") from None
            return {**values, "url": text.strip()}
        return values


class ValkeySettings(_Store):
    """Valkey or Redis: velocities."""

    url: str | None = Field(
        None,
        repr=False,
        description=(
            "Your own server (redis://, rediss://, unix://) or cluster "
            "(valkey+cluster://one:6379,two:6379, TLS: rediss+cluster://); unset: embedded"
        ),
    )
    budget_ms: int = Field(40, ge=1, description="Time that the velocities of one event may take")

    @field_validator("url")
    @classmethod
    def _is_valkey(cls, url: str | None) -> str | None:
        schemes = ("redis", "rediss", "unix")
        clusters = ("valkey+cluster", "redis+cluster", "rediss+cluster")
        return _with_scheme(url, (*schemes, *clusters))


class PostgresSettings(_Store):
    """PostgreSQL: ledger and API keys."""

    url: str | None = Field(
        None,
        repr=False,
        description="Your own server (postgresql://user@host/database); unset: embedded",
    )

    @field_validator("url")
    @classmethod
    def _is_postgres(cls, url: str | None) -> str | None:
        return _with_scheme(url, ("postgresql", "postgres"))


class KeySettings(_Group):
    """Key files: 32 random bytes each, readable by their owner only."""

    kek_file: Path | None = Field(
        None, description="Key-encryption key of the ledger; unset: VAR/keys/kek.key"
    )
    tag_key_file: Path | None = Field(
        None, description="Key of the pseudonymous tags; unset: VAR/keys/tag.key"
    )


class ShopSettings(_Group):
    """The shop's money."""

    base_currency: str = Field("CNY", description="Amounts are compared in this currency")
    rates: dict[str, Decimal] = Field(
        default_factory=lambda: {code: Decimal(rate) for code, rate in CNY_RATES.items()},
        description="Units of the base currency for one unit of another (JSON object)",
    )
    minor_units: dict[str, int] = Field(
        default_factory=lambda: dict(MINOR_UNITS),
        description="Decimal places of a currency's minor unit where they are not 2 (JSON object)",
    )

    @field_validator("base_currency")
    @classmethod
    def _is_a_code(cls, code: str) -> str:
        if not (len(code) == 3 and code.isascii() and code.isalpha() and code.isupper()):
            raise ValueError("a currency is three capital letters, such as CNY")
        return code

    @field_validator("rates")
    @classmethod
    def _are_rates(cls, rates: dict[str, Decimal]) -> dict[str, Decimal]:
        for code, rate in rates.items():
            cls._is_a_code(code)
            if not (rate.is_finite() and rate > 0):
                raise ValueError(f"the rate of {code} must be above 0")
        return rates

    def units_of_minor(self) -> dict[str, int]:
        """Return the minor units of every currency that the shop knows."""
        codes = {self.base_currency, *self.rates}
        return {code: self.minor_units.get(code, 2) for code in sorted(codes)}

    def rates_to_base(self) -> dict[str, Decimal]:
        """Return the rate of every currency that the shop knows, the base currency's own too.

        The default rates are yuan; with another base currency they are converted into it.
        """
        rates = dict(self.rates)
        if self.base_currency != "CNY" and "rates" not in self.model_fields_set:
            if self.base_currency not in rates:
                return {self.base_currency: Decimal(1)}
            yuan = rates.pop(self.base_currency)
            rates = {code: rate / yuan for code, rate in rates.items()}
            rates["CNY"] = 1 / yuan
        return {**rates, self.base_currency: Decimal(1)}


class LedgerSettings(_Group):
    """The record of decisions."""

    log_name: str = Field(
        "touchstone", pattern=r"^[a-z0-9][a-z0-9._/-]{0,63}$", description="Name of the log"
    )
    spool_max_bytes: int = Field(
        64 * 1024 * 1024,
        ge=0,
        description="Entries kept on local disk while PostgreSQL is down (0: none), each worker",
    )


class CollectorSettings(_Group):
    """The collector script for browsers."""

    origins: tuple[str, ...] = Field(
        (),
        description="Origins whose pages may get tokens from here (JSON list); empty: this one",
    )
    tokens_per_second: int = Field(
        200, ge=1, description="Tokens that one worker gives out; more are turned away with 429"
    )

    @field_validator("origins")
    @classmethod
    def _are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            scheme, _, host = origin.partition("://")
            if scheme not in ("https", "http") or not host or not _HOST.fullmatch(host):
                raise ValueError("an origin is scheme, host and port, such as https://shop.example")
        return origins


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
    rules_dir: Path | None = Field(None, description="Your rule packs; unset: the shipped ones")
    policy: Path | None = Field(None, description="Your policy file; unset: the shipped one")
    catalog: Path | None = Field(None, description="Your feature catalog; unset: the shipped one")
    http: HttpSettings = Field(default_factory=HttpSettings)
    valkey: ValkeySettings = Field(default_factory=ValkeySettings)
    postgres: PostgresSettings = Field(default_factory=PostgresSettings)
    keys: KeySettings = Field(default_factory=KeySettings)
    shop: ShopSettings = Field(default_factory=ShopSettings)
    ledger: LedgerSettings = Field(default_factory=LedgerSettings)
    collector: CollectorSettings = Field(default_factory=CollectorSettings)

    @property
    def kek_path(self) -> Path:
        """Where the key-encryption key is."""
        return self.keys.kek_file or self.var / "keys" / "kek.key"

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
        if isinstance(group, type) and issubclass(group, _Group):
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


def _with_scheme(url: str | None, schemes: tuple[str, ...]) -> str | None:
    if url is not None and url.partition("://")[0] not in schemes:
        raise ValueError(f"must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    return url


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
