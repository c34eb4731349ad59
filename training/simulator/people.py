"""Who shops, on what device, from where, and with which means of payment?

Everything here is made up from a seeded generator. Phone numbers, mail addresses and tokens follow
the shape of real ones and belong to nobody on purpose.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from training.labelled import Json

DAY = 86_400.0

_SURNAMES = (
    "li",
    "wang",
    "zhang",
    "liu",
    "chen",
    "yang",
    "zhao",
    "huang",
    "zhou",
    "wu",
    "xu",
    "sun",
)
_GIVEN = (
    "wei",
    "fang",
    "na",
    "min",
    "jing",
    "lei",
    "jun",
    "yan",
    "tao",
    "ming",
    "hui",
    "xin",
    "bo",
)
_MAIL = ("qq.com", "163.com", "126.com", "gmail.com", "outlook.com", "sina.com", "foxmail.com")
_MAIL_SHARES = (38, 24, 8, 12, 9, 5, 4)
DISPOSABLE_MAIL = ("mailinator.com", "guerrillamail.com", "10minutemail.com", "yopmail.com")

_PLACES = (
    ("Zhejiang", "Hangzhou", "310000"),
    ("Guangdong", "Shenzhen", "518000"),
    ("Beijing", "Beijing", "100000"),
    ("Shanghai", "Shanghai", "200000"),
    ("Sichuan", "Chengdu", "610000"),
    ("Hubei", "Wuhan", "430000"),
    ("Shaanxi", "Xi'an", "710000"),
)
_STREETS = ("Wenyi Road", "Renmin Road", "Zhongshan Road", "Jianshe Street", "Xueyuan Road")
_BINS = ("622588", "621700", "622202", "625955", "436742", "518710", "356833")
_METHODS = ("card", "card", "card", "wallet", "wallet", "bank_transfer")
# Networks of Chinese carriers, and of hosting companies: first octet, first of its second octets,
# and how many. Geo tables place them so.
_CARRIER = (
    (36, 128, 64), (58, 30, 32), (60, 160, 32), (101, 80, 16), (112, 0, 64), (115, 192, 32),
    (117, 136, 48), (119, 112, 32), (121, 8, 16), (180, 96, 32), (183, 0, 64), (218, 56, 32),
    (222, 168, 32),
)  # fmt: skip
_HOSTING = (
    (5, 9, 1),
    (45, 76, 2),
    (47, 88, 2),
    (51, 38, 1),
    (104, 131, 1),
    (139, 59, 1),
    (159, 65, 1),
)

_IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS {} like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/{} Mobile/15E148 Safari/604.1"
)
_CHROME = "Mozilla/5.0 ({}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.0.0{} Safari/537.36"
_SAFARI = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/26.3 Safari/605.1.15"
)
# Platform, screen, user agent: browsers of the first half of 2026.
_MODELS = (
    ("ios", "1170x2532", _IPHONE.format("18_6", "18.6")),
    ("ios", "1290x2796", _IPHONE.format("18_6", "26.3")),
    ("android", "1080x2400", _CHROME.format("Linux; Android 14; 23127PN0CC", 146, " Mobile")),
    ("android", "1200x2670", _CHROME.format("Linux; Android 13; V2254A", 138, " Mobile")),
    ("web", "1920x1080", _CHROME.format("Windows NT 10.0; Win64; x64", 147, "")),
    ("web", "2560x1440", _SAFARI),
)


@dataclass(slots=True)
class Person:
    """An account holder with the habits that make one customer differ from the next."""

    id: str
    email: str
    phone: str
    created_at: float
    devices: list[Json]
    ips: list[str]
    address: Json
    payments: list[Json]
    weight: float = 1.0
    return_rate: float = 0.08
    coupon_rate: float = 0.15
    clumsiness: float = 0.06
    orders: list[tuple[str, int]] = field(default_factory=list)


class Maker:
    """Makes people and their things. `prefix` keeps ids of different runs apart."""

    def __init__(self, rng: Random, prefix: str) -> None:
        self._rng = rng
        self._prefix = prefix
        self._count = 0

    def id(self, kind: str) -> str:
        """Return an id that no other call returns."""
        self._count += 1
        return f"{kind}-{self._prefix}-{self._count:x}"

    def email(self) -> str:
        """Return a mail address as honest people have them."""
        rng = self._rng
        domain = rng.choices(_MAIL, _MAIL_SHARES)[0]
        return f"{rng.choice(_SURNAMES)}.{rng.choice(_GIVEN)}{rng.randrange(100_000)}@{domain}"

    def phone(self) -> str:
        """Return a mobile number in E.164 form."""
        prefix = self._rng.choice("3578")
        digits = f"{self._rng.randrange(10**9):09d}"
        third = "6" if digits[0] in "49" else digits[0]  # 154, 174 and 179 are nobody's
        return f"+861{prefix}{third}{digits[1:]}"

    def ip(self, *, hosting: bool = False) -> str:
        """Return an IPv4 address of a carrier or of a hosting company."""
        rng = self._rng
        first, second, width = rng.choice(_HOSTING if hosting else _CARRIER)
        second += rng.randrange(256) % width
        return f"{first}.{second}.{rng.randrange(256)}.{rng.randrange(1, 255)}"

    def device(self, *, automated: bool = False, emulator: bool = False) -> Json:
        """Return a device part with a fresh id."""
        rng = self._rng
        platform, screen, agent = rng.choice(_MODELS[2:4] if emulator else _MODELS)
        abroad = rng.random() < 0.03
        return {
            "id": self.id("d"),
            "user_agent": agent,
            "platform": platform,
            "screen": screen,
            "languages": ["zh-CN"] if rng.random() < 0.9 else ["zh-CN", "en-US"],
            "timezone_offset_minutes": rng.choice((0, 60, 540, -300)) if abroad else 480,
            "is_automated": automated,
            "is_emulator": emulator,
        }

    def address(self) -> Json:
        """Return a shipping address."""
        rng = self._rng
        region, city, postal = rng.choice(_PLACES)
        line = f"{rng.randint(1, 999)} {rng.choice(_STREETS)}, room {rng.randint(101, 3209)}"
        return {
            "country": "CN",
            "region": region,
            "city": city,
            "postal_code": postal,
            "line1": line,
        }

    def payment(self) -> Json:
        """Return a means of payment with a fresh token."""
        rng = self._rng
        method = rng.choice(_METHODS)
        part: Json = {"method": method, "instrument": f"tok_{self.id('i')}"}
        if method == "card":
            part["bin"] = rng.choice(_BINS)
        return part

    def person(self, created_at: float) -> Person:
        """Return an honest customer with habits drawn at random."""
        rng = self._rng
        return Person(
            id=self.id("u"),
            email=self.email(),
            phone=self.phone(),
            created_at=created_at,
            devices=[self.device() for _ in range(1 + (rng.random() < 0.3))],
            ips=[self.ip()],
            address=self.address(),
            payments=[self.payment() for _ in range(1 + (rng.random() < 0.35))],
            weight=rng.paretovariate(1.6),
            return_rate=min(rng.betavariate(0.9, 7.0), 0.6),
            coupon_rate=rng.betavariate(1.0, 4.0),
            clumsiness=rng.betavariate(1.0, 14.0),
        )
