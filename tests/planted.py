"""Personal values that exist nowhere else, events that are full of them, and how they could show.

Invariant: every form of a value that `Watch` looks for is found when it is there.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from random import Random
from typing import Any
from urllib.parse import quote, quote_plus

from features.problems import is_showable_name
from tests.events import event
from tests.needles import PREFIX_BYTES, Needles

NAMES = ("mei", "lin", "jun", "hao", "ana", "ole", "zoë", "李娜")
ROADS = ("Garden Road", "Lange Straße", "中山北路", "Quai d'Orsay")


class Planted:
    """Makes values of every kind that identifies a person; keeps all of them."""

    def __init__(self, seed: int) -> None:
        self._rng = Random(seed)
        self.values: list[str] = []
        self._makers: dict[str, Callable[[], str]] = {
            "email": lambda: f"{self._word(6)}.{self._word(5)}+{self._digits(3)}@shop.test",
            "phone": lambda: f"+86139{self._digits(8)}",
            "ip": self._ip,
            "user": lambda: f"u-{self._word(9)}-{self._digits(4)}",
            "device": lambda: f"dev:{self._word(14)}",
            "name": lambda: f"{self._rng.choice(NAMES)} {self._word(10)}",
            "line1": lambda: f"{self._digits(4)} {self._word(7)} {self._rng.choice(ROADS)}",
            "postal_code": lambda: f"{self._word(3).upper()}-{self._digits(7)}",
            "city": lambda: f"{self._word(9).title()}ville",
            "pan": self._card_number,
            "token": lambda: f"tok_{self._word(18)}",
            "agent": lambda: f"Mozilla/5.0 ({self._word(9)}; rv:{self._digits(3)}) {self._word(7)}",
            "text": lambda: f"call {self._word(8)} at {self._digits(9)}",
            "id": lambda: f"{self._word(6)}/{self._digits(9)}",
        }  # fmt: skip

    def __call__(self, kind: str) -> str:
        """Return a value that was never there before."""
        value = self._makers[kind]()
        self.values.append(value)
        return value

    def known(self) -> str:
        """Return a value that was planted already."""
        return self._rng.choice(self.values)

    def known_name(self) -> str:
        """Return one that cannot be a field's name: those are repeated to whoever sent them."""
        return next(value for value in iter(self.known, None) if not is_showable_name(value))

    @property
    def kinds(self) -> list[str]:
        """What can be planted."""
        return list(self._makers)

    def _word(self, length: int) -> str:
        return "".join(self._rng.choice("bcdfghjklmnpqrstvwxzaeiou") for _ in range(length))

    def _digits(self, length: int) -> str:
        return "".join(self._rng.choice("123456789") for _ in range(length))

    def _ip(self) -> str:
        rng = self._rng
        if rng.random() < 0.3:
            return f"2001:db8:{rng.randrange(4096, 65536):x}:{rng.randrange(4096, 65536):x}::7"
        return f"100.{rng.randint(64, 127)}.{rng.randint(100, 255)}.{rng.randint(100, 255)}"

    def _card_number(self) -> str:
        body = f"4{self._digits(14)}"
        total = sum(
            (2 * int(digit) - 9 * (int(digit) > 4)) if at % 2 == 0 else int(digit)
            for at, digit in enumerate(body)
        )
        return f"{body}{-total % 10}"

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield an event of each type with a fresh value in every field that takes free text."""
        user = {"id": self("user"), "email": self("email"), "phone": self("phone")}
        device = {
            "id": self("device"), "user_agent": self("agent"), "fingerprint": self("text"),
            "platform": self("id"), "languages": ["zh-CN"],
        }  # fmt: skip
        who = {"user": user, "device": device, "network": {"ip": self("ip")}}
        address = {
            "country": "CN", "region": self("city"), "city": self("city"),
            "postal_code": self("postal_code"), "line1": self("line1"),
        }  # fmt: skip
        items = [
            {"sku": self("id"), "category": self("text"), "quantity": 1, "unit_price_minor": 5}
        ]
        order = {
            "id": self("id"), "amount_minor": 100, "shipping_address": address, "items": items,
        }  # fmt: skip
        party, merchant = self("user"), {"id": self("user")}
        parts: dict[str, dict[str, Any]] = {
            "signup": {},
            "login": {},
            "checkout": {"order": order},
            "payment": {
                "order": order,
                "payment": {"method": "card", "instrument": self("token"), "outcome": "declined"},
            },
            "coupon_redemption": {
                "coupon": {"campaign": self("text"), "code": self("id"), "value_minor": 5}
            },
            "return_request": {
                "return": {
                    "order_id": self("id"), "reason": "other", "amount_minor": 9, "items": items
                }
            },
            "listing_submitted": {
                "merchant": merchant,
                "listing": {
                    "id": self("id"), "category": self("text"), "title": self("name"),
                    "description": self("line1"),
                },
            },
            "settlement": {
                "merchant": merchant,
                "settlement": {
                    "id": self("id"), "order_amount_minor": 100,
                    "money": {"amount_minor": 100, "payer": party, "payee": self("name")},
                },
            },
        }  # fmt: skip
        for type_, part in parts.items():
            yield event(type_, event_id=self("id"), **who, **part)


class Watch:
    """Looks for values in every form in which they could stand somewhere."""

    def __init__(self, values: Iterable[str]) -> None:
        small: dict[bytes, str] = {}
        exact: dict[bytes, str] = {}
        for value in values:
            small.update(dict.fromkeys((form.lower() for form in texts_of(value)), value))
            exact.update(dict.fromkeys(bytes_of(value), value))
        self._small, self._exact = Needles(small), Needles(exact)

    def found_in(self, content: bytes) -> set[str]:
        """Return the values that stand in the bytes: plain, escaped, encoded or hashed."""
        return self._small.found_in(content.lower()) | self._exact.found_in(content)


def texts_of(value: str) -> set[bytes]:
    """Return the forms in which capitals do not matter: as it is, escaped, in hex, hashed."""
    plain = value.encode()
    found = {
        plain, value.encode("utf-16-le"), value.encode("utf-16-be"), plain.hex().encode(),
        quote(value).encode(), quote(value, safe="").encode(), quote_plus(value).encode(),
        json.dumps(value)[1:-1].encode(), json.dumps(value, ensure_ascii=False)[1:-1].encode(),
        value.replace("'", "''").encode(), repr(value)[1:-1].encode(),
    }  # fmt: skip
    found |= {digest.hex().encode() for digest in _digests(value)}
    return {form for form in found if len(form) >= PREFIX_BYTES}


def bytes_of(value: str) -> set[bytes]:
    """Return the forms in which capitals matter: base64 wherever it begins, raw hashes."""
    digests = _digests(value)
    found = set(digests)
    for plain in (value.encode(), *digests):
        for before in range(3):
            encoded = b64encode(bytes(before) + plain)
            # What the neighbours' bits have a part in is left out.
            whole = encoded[(0, 2, 3)[before] : len(encoded) - 4 * ((len(plain) + before) % 3 > 0)]
            found |= {whole, whole.translate(bytes.maketrans(b"+/", b"-_"))}
    return {form for form in found if len(form) >= PREFIX_BYTES}


def _digests(value: str) -> set[bytes]:
    written = {value, value.lower(), value.strip("+")}
    return {
        hashlib.new(name, text.encode(), usedforsecurity=False).digest()
        for name in ("md5", "sha1", "sha256")
        for text in written
    }
