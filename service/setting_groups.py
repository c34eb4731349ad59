"""What can be set of each part of the service, and what is it when nobody sets it?

Invariant: every setting has one line of description and a default that works on one machine.
"""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from features.velocity.connect import connect

_HOST = re.compile(r"[a-z0-9.-]+(:[0-9]{1,5})?")

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


class Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class HttpSettings(Group):
    """The HTTP API."""

    host: str = Field("127.0.0.1", description="Address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on (0: any free one)")
    max_body_bytes: int = Field(65536, ge=1024, description="Longer request bodies are refused")
    budget_ms: int = Field(150, ge=5, description="Time that one request may take")
    max_in_flight: int = Field(
        256, ge=1, description="Requests under way in one worker; more are turned away with 503"
    )


class _Store(Group):
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
            "(valkey+cluster://a,b); unset: embedded"
        ),
    )
    budget_ms: int = Field(40, ge=1, description="Time that the velocities of one event may take")

    @field_validator("url")
    @classmethod
    def _is_valkey(cls, url: str | None) -> str | None:
        if url is not None:
            try:
                connect(url)
            except OSError as error:  # a file of its TLS options
                raise ValueError(f"cannot read what its options name: {error.strerror}") from None
        return url


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


class KeySettings(Group):
    """Key files, readable by their owner only."""

    provider: Literal["file", "transit", "kms"] = Field(
        "file",
        description="Who guards the key-encryption key: its file, Vault/OpenBao Transit or AWS KMS",
    )
    kek_file: Path | None = Field(
        None, description="Key-encryption key of the ledger; unset: VAR/keys/kek.key"
    )
    tag_key_file: Path | None = Field(
        None, description="Key of the pseudonymous tags; unset: VAR/keys/tag.key"
    )


class TransitSettings(Group):
    """Vault or OpenBao. The token: `token_file`, else BAO_TOKEN or VAULT_TOKEN."""

    url: str | None = Field(None, description="Where it answers (https://vault.example:8200)")
    mount: str = Field(
        "transit",
        pattern=r"^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$",
        description="Where its Transit engine is mounted",
    )
    key: str = Field(
        "touchstone", pattern=r"^[A-Za-z0-9._-]+$", description="Its key that wraps ours"
    )
    token_file: Path | None = Field(
        None, description="File of a token that may encrypt and decrypt with the key"
    )
    ca_file: Path | None = Field(
        None, description="Certificates (PEM) to trust; unset: those of the system"
    )
    namespace: str | None = Field(None, description="Namespace of the Transit engine")

    @field_validator("url")
    @classmethod
    def _is_private(cls, url: str | None) -> str | None:
        return _tls_or_here(url)


class KmsSettings(Group):
    """AWS KMS. Credentials: as the AWS SDK finds them."""

    key: str | None = Field(None, description="Id, ARN or alias of the symmetric key that wraps")
    region: str | None = Field(None, description="Its region; unset: the SDK's default")
    url: str | None = Field(None, description="An endpoint of your own; unset: that of the region")

    @field_validator("url")
    @classmethod
    def _is_private(cls, url: str | None) -> str | None:
        return _tls_or_here(url)


class ShopSettings(Group):
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


class LedgerSettings(Group):
    """The record of decisions."""

    log_name: str = Field(
        "touchstone", pattern=r"^[a-z0-9][a-z0-9._/-]{0,63}$", description="Name of the log"
    )
    spool_max_bytes: int = Field(
        64 * 1024 * 1024,
        ge=0,
        description="Entries kept on local disk while PostgreSQL is down (0: none), each worker",
    )
    sequence: bool = Field(
        True,
        description="Whether `touchstone serve` places entries in the tree (one machine leads)",
    )
    sign: bool = Field(
        True, description="Whether it signs checkpoints; on one machine only, the one with the key"
    )
    signer_dir: Path | None = Field(
        None,
        description="The signer's key and memory, not in any backup of the database; "
        "unset: VAR/signer",
    )
    witnesses: tuple[str, ...] = Field(
        (),
        description="Public keys (vkeys) of those outside who cosign checkpoints (JSON list)",
    )

    @field_validator("witnesses")
    @classmethod
    def _are_vkeys(cls, witnesses: tuple[str, ...]) -> tuple[str, ...]:
        from service.ledger.note import NoteInvalid, parse_vkey

        for vkey in witnesses:
            try:
                parse_vkey(vkey)
            except NoteInvalid as error:
                raise ValueError(f"a witness is NAME+ID+KEY: {error}") from None
        return witnesses


class RuleSettings(Group):
    """How rules are changed."""

    confirm_stop_minutes: int = Field(
        60,
        ge=1,
        le=1440,
        description="An emergency stop lapses unless a second person confirms it within this time",
    )


class ListSettings(Group):
    """Lists of entities that rules ask about."""

    max_entries: int = Field(
        250_000,
        ge=0,
        description="Entries in force on all lists; every worker holds them in memory",
    )


class ExportSettings(Group):
    """Packages of the record for auditors."""

    keep_hours: int = Field(
        24, ge=1, le=720, description="A package that was built is deleted after this time"
    )
    processes: int = Field(2, ge=1, le=16, description="Processes that build one package")


class RetentionSettings(Group):
    """How long the record keeps what it knows; headers and checkpoints stay."""

    subject_days: int = Field(
        180, ge=1, le=3650, description="What was known about persons is deleted after this time"
    )
    core_days: int = Field(
        1095, ge=1, le=7300, description="What was decided, and why, is deleted after this time"
    )
    staff_days: int = Field(
        365, ge=1, le=7300, description="Who looked and worked is deleted after this time"
    )
    staff_long_days: int = Field(
        1095,
        ge=1,
        le=7300,
        description="The same of permissions, exports, rules, lists, labels and persons' rights",
    )
    header_days: int = Field(
        3650, ge=1, description="Headers older than this are reported; they are never deleted"
    )
    daily: bool = Field(
        True, description="Whether the service itself deletes once a day what is past its time"
    )

    @property
    def kept_days(self) -> dict[str, int]:
        """The days after which a block that is missing is past its time, by block."""
        return {
            "subject": self.subject_days,
            "core": self.core_days,
            "staff": min(self.staff_days, self.staff_long_days),
        }


class GeoSettings(Group):
    """Where IP addresses are and cards come from; `touchstone geo install` gets free tables."""

    country_file: Path | None = Field(
        None, description="MMDB file with countries; unset: VAR/geo/country.mmdb where there is one"
    )
    asn_file: Path | None = Field(
        None, description="MMDB file with networks (ASN); unset: VAR/geo/asn.mmdb, likewise"
    )
    tor_file: Path | None = Field(
        None, description="List of Tor exit addresses; unset: VAR/geo/tor.txt, likewise"
    )
    hosting_file: Path | None = Field(
        None, description="List of hosting networks; unset: VAR/geo/hosting.txt, likewise"
    )
    bins_file: Path | None = Field(
        None, description="CSV of card prefix, country; unset: VAR/geo/bins.csv, likewise"
    )


class ProfileSettings(Group):
    """Slow features of users and devices; `touchstone profiles` makes them."""

    use: Literal["auto", "on", "off"] = Field(
        "auto",
        description="Whether decisions read profiles; auto: when VAR/profiles/current is there",
    )
    max_age_hours: int = Field(
        72, ge=1, description="Older profiles are left out, and named in `degraded`"
    )
    budget_ms: int = Field(40, ge=1, description="Time that the profiles of one event may take")


class CollectorSettings(Group):
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


def _tls_or_here(url: str | None) -> str | None:
    """Take https, and http to this machine: the key itself crosses the wire."""
    if url is None:
        return None
    place = urlsplit(url)
    if "@" in place.netloc:
        raise ValueError("must not contain a password")
    is_here = place.scheme == "http" and place.hostname in ("127.0.0.1", "localhost", "::1")
    if not place.hostname or not (place.scheme == "https" or is_here):
        raise ValueError("must begin with https://")
    return url


def _with_scheme(url: str | None, schemes: tuple[str, ...]) -> str | None:
    if url is not None and url.partition("://")[0] not in schemes:
        raise ValueError(f"must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    return url
