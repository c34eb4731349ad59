"""What an offer says about itself: papers, words and prices."""

from __future__ import annotations

from typing import Any

import pytest

from features.event_features import EVENT_FUNCTIONS, Stated
from features.fields import fields_of
from features.money import CurrencyTable
from features.signals import qualification, wording
from tests.unit.features.conftest import Build

YESTERDAY, TOMORROW = "2026-11-21T08:15:30Z", "2026-11-23T08:15:30Z"
FOOD = {"kind": "food_business_licence"}


def said(build: Build, currencies: CurrencyTable, function: str, **parts: Any) -> Any:
    event = build("listing_submitted", **parts)
    return EVENT_FUNCTIONS[function].function(
        Stated(event, fields_of(event, currencies), currencies)
    )


@pytest.mark.parametrize(
    ("function", "parts", "value"),
    [
        ("merchant_age_seconds", {"merchant": {"opened_at": "2026-11-22T08:15:00Z"}}, 30.0),
        ("merchant_age_seconds", {"merchant": {"opened_at": TOMORROW}}, None),
        ("listing_group", {}, "food"),
        ("listing_group", {"listing": {"category": "Home decor"}}, None),
        ("listing_papers_stated", {}, True),
        ("listing_papers_stated", {"merchant": {"licences": None}}, False),
        ("listing_papers_stated", {"listing": {"certificates": None}}, True),
        ("listing_papers_stated", {"listing": {"category": "toys", "certificates": None}}, False),
        ("listing_missing_licences", {}, 0),
        ("listing_missing_licences", {"merchant": {"licences": []}}, 1),
        ("listing_missing_licences", {"merchant": {"licences": None}}, None),
        ("listing_missing_licences", {"listing": {"category": "家居"}}, None),
        (
            "listing_missing_licences",
            {"merchant": {"licences": None}, "listing": {"category": "toys"}},
            0,
        ),
        ("listing_missing_certificates", {"listing": {"certificates": None}}, 0),
        ("listing_missing_certificates", {"listing": {"category": "手机"}}, 2),
        (
            "listing_missing_certificates",
            {"listing": {"category": "手机", "certificates": [{"kind": "ccc"}]}},
            1,
        ),
        ("listing_missing_paper", {}, None),
        ("listing_missing_paper", {"merchant": {"licences": []}}, "food_business_licence"),
        ("listing_missing_paper", {"listing": {"category": "Toys"}}, "ccc"),
        ("listing_expired_papers", {}, 0),
        (
            "listing_expired_papers",
            {"merchant": {"licences": [FOOD | {"valid_until": YESTERDAY}]}},
            1,
        ),
        (
            "listing_expired_papers",
            {"listing": {"certificates": [{"kind": "ccc", "valid_until": "2026-11-22T08:15:30Z"}]}},
            1,
        ),
        (
            "listing_expired_papers",
            {"merchant": {"licences": None}, "listing": {"certificates": None}},
            None,
        ),
        (
            "listing_unverified_papers",
            {"merchant": {"licences": [FOOD | {"is_verified": False}]}},
            1,
        ),
        ("listing_unverified_papers", {"merchant": {"licences": [FOOD]}}, 0),
        ("listing_foreign_licences", {"merchant": {"licences": [FOOD | {"is_own": False}]}}, 1),
        ("listing_foreign_licences", {"merchant": {"licences": None}}, None),
        ("listing_is_prohibited", {"listing": {"category": "电子烟/一次性"}}, True),
        ("listing_is_prohibited", {"listing": {"title": "电子烟收纳盒"}}, False),
        ("listing_names_prohibited", {"listing": {"title": "电子烟收纳盒"}}, True),
        ("listing_discount", {"listing": {"price_minor": 25, "was_price_minor": 100}}, 0.75),
        ("listing_discount", {"listing": {"was_price_minor": 0}}, None),
        ("listing_discount", {"listing": {"was_price_minor": None}}, None),
    ],
)
def test_an_offer_says_this(
    build: Build,
    currencies: CurrencyTable,
    function: str,
    parts: dict[str, Any],
    value: Any,
) -> None:
    """What is not stated is unknown, what is empty is missing."""
    assert said(build, currencies, function, **parts) == value


@pytest.mark.parametrize(
    ("title", "description", "found"),
    [
        ("国家级非遗 手工茶具", "", {"statutory": ("国家级",)}),
        ("口感最 佳", "", {"statutory": ("最佳",)}),
        ("口感最\u200b佳", "", {"statutory": ("最佳",)}),
        ("全国最佳", "", {"statutory": ("最佳",), "absolute": ("全国最",)}),
        ("坚果", "最佳食用期见包装", {}),
        ("坚果", "最佳食用期见包装，口味最佳", {"statutory": ("最佳",)}),
        ("顶级 NO.1 茶", "", {"absolute": ("顶级", "no.1")}),
        ("茶", "The BEST tea", {"absolute": ("the best",)}),
        ("茶", "the bestiary", {}),
        ("蜜", "根治糖尿病，无副作用", {"disease": ("根治", "糖尿病"), "guarantee": ("无副作用",)}),
        ("白酒", "人民大会堂专供", {"state": ("人民大会堂", "专供")}),
        ("加盟", "稳赚，零风险", {"yield": ("稳赚", "零风险")}),
        ("奶粉", "媲美母乳", {"breast_milk": ("媲美母乳",)}),
        ("每日坚果 30 包", "六种坚果，独立小包装。第一时间发货，最后三天。", {}),
        ("万能胶", "唯一编号见包装", {}),
    ],
)  # fmt: skip
def test_words_are_found_by_their_kind(
    title: str, description: str, found: dict[str, tuple[str, ...]]
) -> None:
    """Spelled apart or full width, a word is found; inside a longer harmless one it is not."""
    assert dict(wording.claims(title, description)) == found


def test_the_laws_own_words_are_counted_apart_in_the_title(
    build: Build, currencies: CurrencyTable
) -> None:
    """A word in the description is none in the title, and the law's own are named first."""
    below = {"title": "顶级坚果", "description": "国家级"}
    assert said(build, currencies, "listing_statutory_terms", listing=below) == 1
    assert said(build, currencies, "listing_title_statutory_terms", listing=below) == 0
    assert said(build, currencies, "listing_absolute_terms", listing=below) == 1
    assert said(build, currencies, "listing_absolute_term", listing=below) == "国家级"


@pytest.mark.parametrize("group", qualification.groups(), ids=lambda group: group.name)
def test_each_group_needs_papers_and_names_its_law(group: qualification.Group) -> None:
    """A group without papers would be none; its source names a law or an order."""
    assert group.licences or group.certificates
    assert any(word in group.source for word in ("法", "条例", "规定", "办法"))


@pytest.mark.parametrize(
    ("category", "group"),
    [
        ("母婴/婴幼儿配方奶粉", "infant_formula"),
        ("食品/保健食品", "health_food"),
        ("处方药", "prescription_drug"),
        ("药品/非处方药", "otc_drug"),
        ("药品/中成药", "drug"),
        ("美妆护肤/面膜", "cosmetics"),
        ("Phones & Routers", "phone"),
        ("手机壳", None),
        ("gift_card", None),
        ("phone case", None),
        ("宠物食品", None),
    ],
)
def test_a_category_is_of_the_first_group_that_knows_it(category: str, group: str | None) -> None:
    """The stricter groups stand first; what only sounds alike is of none."""
    found = qualification.group_of(category)
    assert (None if found is None else found.name) == group
