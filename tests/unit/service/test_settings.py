"""Settings: what is set is used, what is mistyped is refused, what is secret stays so."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from service.settings import Settings, SettingsError, load_settings, setting_rows


def test_everything_has_a_default(tmp_path: Path) -> None:
    """A service on one machine needs no setting."""
    settings = load_settings(tmp_path)
    assert settings.var == tmp_path
    assert settings.valkey.url is None
    assert settings.kek_path == tmp_path / "keys" / "kek.key"


def test_names_are_group_and_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """TOUCHSTONE_GROUP__NAME sets what `config show` shows under that name."""
    monkeypatch.setenv("TOUCHSTONE_HTTP__BUDGET_MS", "80")
    monkeypatch.setenv("TOUCHSTONE_CLOCK", "event")
    settings = load_settings()
    assert settings.http.budget_ms == 80
    rows = {name: value for name, value, _ in setting_rows(settings)}
    assert rows["TOUCHSTONE_HTTP__BUDGET_MS"] == "80"
    assert rows["TOUCHSTONE_CLOCK"] == "event"


def test_a_mistyped_name_is_refused_with_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistyped limit is no limit, so it is an error."""
    monkeypatch.setenv("TOUCHSTONE_HTTP__BUGDET_MS", "80")
    with pytest.raises(SettingsError, match="did you mean TOUCHSTONE_HTTP__BUDGET_MS"):
        load_settings()


def test_every_problem_is_told_at_once_and_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error lists all settings that cannot be, and quotes none of their values."""
    monkeypatch.setenv("TOUCHSTONE_HTTP__PORT", "geheim")
    monkeypatch.setenv("TOUCHSTONE_CLOCK", "geheim")
    monkeypatch.setenv("TOUCHSTONE_POSTGRES__URL", "mysql://geheim")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    text = str(caught.value)
    for name in ("HTTP__PORT", "CLOCK", "POSTGRES__URL"):
        assert f"TOUCHSTONE_{name}: " in text
    assert "geheim" not in text


@pytest.mark.parametrize("value", ['{"USD": 7', '{"USD": -1}', '{"usd": 7}', '{"USD": "NaN"}'])
def test_rates_must_be_rates(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """A table of rates that is no table, or holds no rates, is refused."""
    monkeypatch.setenv("TOUCHSTONE_SHOP__RATES", value)
    with pytest.raises(SettingsError, match="SHOP__RATES"):
        load_settings()


def test_default_rates_follow_the_base_currency(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shop in dollars that sets no rates gets the shipped ones, converted."""
    assert Settings().shop.rates_to_base()["CNY"] == 1
    assert Settings().shop.units_of_minor()["JPY"] == 0
    monkeypatch.setenv("TOUCHSTONE_SHOP__BASE_CURRENCY", "USD")
    rates = Settings().shop.rates_to_base()
    assert rates["USD"] == 1
    assert rates["CNY"] == 1 / Decimal("7.15")
    assert rates["EUR"] == Decimal("8.10") / Decimal("7.15")


def test_set_rates_are_taken_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that is set replaces the shipped one: other currencies are unknown to the shop."""
    monkeypatch.setenv("TOUCHSTONE_SHOP__BASE_CURRENCY", "EUR")
    monkeypatch.setenv("TOUCHSTONE_SHOP__RATES", '{"USD": "0.9"}')
    assert Settings().shop.rates_to_base() == {"USD": Decimal("0.9"), "EUR": Decimal(1)}


@pytest.mark.parametrize(
    "url", ["postgresql://u:geheim@h/db", "postgresql://h/db?user=u&password=geheim"]
)
def test_passwords_are_not_shown(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Neither `config show` nor a settings object in a log shows a password."""
    monkeypatch.setenv("TOUCHSTONE_POSTGRES__URL", url)
    settings = load_settings()
    assert "geheim" not in repr(settings)
    assert not [row for row in setting_rows(settings) if "geheim" in "".join(row)]


def test_a_url_can_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A URL with a password need not be in the environment; a missing file is an error."""
    (tmp_path / "url").write_text("postgresql://u:p@h/db\n")
    monkeypatch.setenv("TOUCHSTONE_POSTGRES__URL_FILE", str(tmp_path / "url"))
    assert load_settings().postgres.url == "postgresql://u:p@h/db"
    monkeypatch.setenv("TOUCHSTONE_POSTGRES__URL_FILE", str(tmp_path / "none"))
    with pytest.raises(SettingsError, match="cannot read"):
        load_settings()


def test_every_setting_says_what_it_is() -> None:
    """Each has one line of description, without a full stop, that fits a table."""
    for name, _, description in setting_rows():
        assert description, name
        assert not description.endswith("."), name
        assert len(description) < 100, name
