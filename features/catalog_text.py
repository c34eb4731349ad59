"""What does each fact mean, in a sentence for people, English and Chinese?

Sentences of velocity features and ratios are made from their declarations, so they cannot say
something else than what is counted; the others come from the row.
Invariant: every name that a rule may use has one entry.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from features.catalog_check import CheckedRows
from features.catalog_rows import Row
from features.fields import FIELD_TYPES


class Entry(NamedTuple):
    """One fact for people: `section` of the catalog, and when it is unknown (`missing`)."""

    name: str
    type: str
    section: str
    text: Mapping[str, str]
    missing: Mapping[str, str]


# kind -> English, 中文
KINDS: dict[str, tuple[str, str]] = {
    "user": ("user", "用户"),
    "device": ("device", "设备"),
    "ip": ("IP address", "IP 地址"),
    "email": ("mailbox", "邮箱"),
    "phone": ("phone number", "电话号码"),
    "payment_instrument": ("payment instrument", "支付工具"),
    "shipping_address": ("shipping address", "收货地址"),
    "coupon_campaign": ("coupon campaign", "优惠活动"),
    "merchant": ("merchant", "商家"),
}
_EVENTS = {
    "signup": "注册",
    "login": "登录",
    "checkout": "下单",
    "payment": "支付",
    "coupon_redemption": "用券",
    "return_request": "退货申请",
    "listing_submitted": "商品上架",
    "settlement": "结算",
}
_MEASURES: dict[str, tuple[str, str]] = {
    "count": ("Number of {events} of the {entity}", "该{entity}的{events}次数"),
    "sum": ("Sum of {of} over {events} of the {entity}", "该{entity}的{events}中 {of} 之和"),
    "mean": ("Mean of {of} over {events} of the {entity}", "该{entity}的{events}中 {of} 的均值"),
    "min": ("Smallest {of} in {events} of the {entity}", "该{entity}的{events}中 {of} 的最小值"),
    "max": ("Largest {of} in {events} of the {entity}", "该{entity}的{events}中 {of} 的最大值"),
    "distinct": (
        "Number of different {of} in {events} of the {entity}",
        "该{entity}的{events}中不同{of}的数量",
    ),
    "first_seen": (
        "Seconds since the first of the {events} of the {entity}",
        "距该{entity}首次{events}的秒数",
    ),
    "last_seen": (
        "Seconds since the last of the {events} of the {entity}",
        "距该{entity}最近一次{events}的秒数",
    ),
}
PRESENCE_TEXTS: dict[str, tuple[str, str]] = {
    "has_user": ("The event names a user", "事件含用户"),
    "has_device": ("The event names a device with an id", "事件含有标识的设备"),
    "has_fingerprint": (
        "The device has a fingerprint of the collector script",
        "设备含采集脚本指纹",
    ),
    "has_ip": ("The event names an IP address", "事件含 IP 地址"),
    "has_email": ("The user has an e-mail address", "用户有邮箱"),
    "has_phone": ("The user has a phone number", "用户有电话号码"),
    "has_order": ("The event has an order", "事件含订单"),
    "has_payment": ("The event has a payment", "事件含支付"),
    "has_instrument": ("The payment names its instrument by a token", "支付含支付工具令牌"),
    "has_shipping_address": ("The order goes to an address with a street", "订单有详细收货地址"),
    "has_coupon": ("The event has a coupon", "事件含优惠券"),
    "has_return": ("The event has a return", "事件含退货"),
    "has_login": ("The event has a login", "事件含登录"),
    "has_merchant": ("The event names a merchant", "事件含商家"),
    "has_listing": ("The event has an offer of a merchant", "事件含商家的上架信息"),
    "has_settlement": ("The event has a settlement", "事件含结算"),
}
_NEVER = ("the store could not answer", "存储未能应答")
_EMPTY = (
    "nothing was recorded in the window, or the store could not answer",
    "窗口内无记录，或存储未能应答",
)
_ALWAYS = ("never: it is always known", "始终已知")
_UNSTATED = ("the event does not state it", "事件未提供")


def entries_of(checked: CheckedRows) -> tuple[Entry, ...]:
    """Give every fact of a catalog with its sentence, in the order of the file."""
    return tuple(_entries(checked))


def _entries(checked: CheckedRows) -> Iterator[Entry]:
    for row in checked.section("series"):
        for (name, kind), window in zip(
            checked.features_of(row), _windows_of(row, checked), strict=True
        ):
            yield Entry(name, kind, "series", _series_text(row, window), _missing_of(row, kind))
    for row in checked.section("derived"):
        above, below = row.values["numerator"], row.values["denominator"]
        text = _both(f"`{above}` over `{below}`", f"`{above}` 与 `{below}` 之比")
        missing = _both("one of the two is unknown, or the second is 0", "任一未知，或后者为 0")
        yield Entry(row.name, "double", "derived", text, missing)
    for section in ("event_features", "profiles"):
        for row in checked.section(section):
            english = str(row.values["missing"])
            missing = _both(english, row.values.get("missing_zh") or english)
            yield Entry(row.name, str(row.values["type"]), section, _own_text(row), missing)
    for row in checked.section("fields"):
        missing = _both(*(_ALWAYS if row.name == "event.type" else _UNSTATED))
        yield Entry(row.name, FIELD_TYPES[row.name], "fields", _own_text(row), missing)
    for name, (english, chinese) in PRESENCE_TEXTS.items():
        yield Entry(name, "bool", "presence", _both(english, chinese), _both(*_ALWAYS))


def _windows_of(row: Row, checked: CheckedRows) -> list[str]:
    if row.values["measure"] in ("first_seen", "last_seen"):
        return ["seen", "is_new"][: len(checked.features_of(row))]
    return [name.removeprefix(row.name + "_") for name, _ in checked.features_of(row)]


def _series_text(row: Row, window: str) -> dict[str, str]:
    values = row.values
    words = _words(row)
    if window == "is_new":
        return _both(
            "Whether the {entity} was never seen in {events}".format(**words[0]),
            "该{entity}是否从未出现于{events}".format(**words[1]),
        )
    texts = [text.format(**words[i]) for i, text in enumerate(_MEASURES[values["measure"]])]
    if window == "seen":
        kept = values["windows"][0]
        texts[0] += f"; forgotten after {kept} without one"
        texts[1] += f"（{kept}无记录后遗忘）"
    else:
        texts = [f"{texts[0]} in the last {window}", f"最近 {window} 内{texts[1]}"]
    if where := values.get("where"):
        texts = [f"{texts[0]}, where `{where}`", f"{texts[1]}，条件 `{where}`"]
    if outcomes := values.get("outcomes"):
        texts[0] += f", decided as {' or '.join(outcomes)}"
        texts[1] += f"，且决策为 {' 或 '.join(outcomes)}"
    return _both(*texts)


def _words(row: Row) -> tuple[dict[str, str], dict[str, str]]:
    """Give what the sentences of a series are made of, in English and in Chinese."""
    values = row.values
    events = [event.replace("_", " ") for event in values["events"]]
    if events[1:]:
        events = [", ".join(events[:-1]), events[-1]]
    kinds = [KINDS[kind] for kind in values["entity"].split("+")]
    of = values.get("of") or ""
    other = KINDS.get(of) if values["measure"] == "distinct" else None
    return (
        {
            "events": " and ".join(events) + " events",
            "entity": " and ".join(english for english, _ in kinds),
            "of": f"`{of}`" if other is None else _plural(other[0]),
        },
        {
            "events": "、".join(_EVENTS.get(event, event) for event in values["events"]) + "事件",
            "entity": "与".join(chinese for _, chinese in kinds),
            "of": f"`{of}`" if other is None else other[1],
        },
    )


def _plural(noun: str) -> str:
    ending = "es" if noun.endswith(("s", "x")) else "s"
    return noun + ending


def _missing_of(row: Row, kind: str) -> dict[str, str]:
    empty = row.values["measure"] in ("mean", "min", "max", "first_seen", "last_seen")
    return _both(*(_EMPTY if empty and kind != "bool" else _NEVER))


def _own_text(row: Row) -> dict[str, str]:
    english = row.values.get("description") or row.name.replace("_", " ")
    return _both(english, row.values.get("description_zh") or english)


def _both(english: str, chinese: str) -> dict[str, str]:
    return {"en": english, "zh": chinese}
