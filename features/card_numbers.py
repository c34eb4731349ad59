"""Is there a payment card number in this text?

A card number is 13 to 19 digits in a known issuer range with a right Luhn digit (ISO/IEC 7812-1),
in any digit script, also when spaces, dashes or dots part its groups. Groups are taken whole:
sixteen digits inside a run of thirty are not a card number, and neither are digits inside a
hexadecimal id or a UUID: by chance one such id in some thousands would be refused.
Invariant: an answer is yes or no, never the number.
"""

from __future__ import annotations

import re

# Digits with up to two separators between them: blanks, dots, dashes and their Unicode kin. \d is
# every decimal digit of Unicode.
_GAP = r"[ \t\r\n.\-\u00a0\u00ad\u2000-\u2015\u202f\u205f\u2060\u2212\u3000\ufeff]{0,2}"
_CANDIDATE = re.compile(rf"\d(?:{_GAP}\d){{12,}}")
# A hexadecimal id (20 characters or more, two letters among them) or a UUID, standing alone.
_HEXADECIMAL_ID = re.compile(
    r"(?<![0-9A-Za-z])"
    r"(?:(?=(?:[0-9]*[A-Fa-f]){2})[0-9A-Fa-f]{20,}"
    r"|[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12})"
    r"(?![0-9A-Za-z])"
)
_GROUP = re.compile(r"\d+")
_OTHER_DIGIT = re.compile(r"\d")
_ASCII = bytes(range(128))
_DIGITS_ONLY = bytes(byte if 48 <= byte < 58 else 32 for byte in range(256))
_NO_GROUP = b" \t\r\n.-" + bytes(range(128, 256))  # bytes of separators, and never digits

# (first prefix, last prefix, lengths): the public issuer ranges of the schemes.
_RANGES: tuple[tuple[str, str, range], ...] = (
    ("4", "4", range(13, 20)),  # Visa: 13, 16, 19 in use
    ("51", "55", range(16, 17)),  # Mastercard
    ("2221", "2720", range(16, 17)),  # Mastercard, 2-series
    ("34", "34", range(15, 16)),  # American Express
    ("37", "37", range(15, 16)),
    ("6011", "6011", range(16, 20)),  # Discover
    ("644", "649", range(16, 20)),
    ("65", "65", range(16, 20)),
    ("3528", "3589", range(16, 20)),  # JCB
    ("62", "62", range(16, 20)),  # UnionPay
    ("81", "81", range(16, 20)),
    ("50", "50", range(13, 20)),  # Maestro: 12 to 19, of which a card in use has 13 or more
    ("56", "58", range(13, 20)),
    ("6304", "6304", range(13, 20)),
    ("6390", "6390", range(13, 20)),
    ("67", "67", range(13, 20)),
    ("300", "305", range(14, 20)),  # Diners Club
    ("3095", "3095", range(14, 20)),
    ("36", "36", range(14, 20)),
    ("38", "39", range(14, 20)),
    ("2200", "2204", range(16, 20)),  # Mir
)
_LUHN_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def is_card_number(digits: str) -> bool:
    """Say whether a string of ASCII digits is a card number.

    >>> is_card_number("4111111111111111"), is_card_number("4111111111111112")
    (True, False)
    >>> is_card_number("8613800138000")  # a phone number
    False
    """
    length = len(digits)
    if not 13 <= length <= 19:
        return False
    for first, last, lengths in _RANGES:
        if length in lengths and first <= digits[: len(first)] <= last:
            return _luhn(digits)
    return False


def has_card_number(text: str) -> bool:
    """Say whether any run of digit groups in a text is a card number.

    >>> has_card_number("paid with 4111-1111 1111.1111 today")
    True
    >>> has_card_number("2026-11-22 08:15, order 4111")
    False
    >>> has_card_number("ord-4e1c4111111111111111a7b20c9d55e8")
    False
    """
    if _CANDIDATE.search(text) is None:
        return False
    rest = _HEXADECIMAL_ID.sub("#", text)
    return any(_has_card(match.group()) for match in _CANDIDATE.finditer(rest))


def may_hold_card_number(raw: bytes) -> bool:
    """Say quickly whether UTF-8 JSON may hold a card number; False is certain, True is not.

    `raw` must have no escapes but `\\n` and its kin. At first everything that can part groups is
    dropped, so that every candidate is one run of digits: most bodies have none but a phone number.

    >>> may_hold_card_number(b'{"phone": "+8613800138000", "at": "2026-11-22 08:15"}')
    False
    >>> may_hold_card_number(b'["4111-1111 1111.1111"]')
    True
    """
    if b"\\" in raw:
        for escape in (b"\\n", b"\\r", b"\\t"):
            raw = raw.replace(escape, b" ")
    for run in raw.translate(_DIGITS_ONLY, _NO_GROUP).split():
        if len(run) > 12 and (len(run) > 13 or is_card_number(run.decode())):
            return has_card_number(raw.decode())
    if raw.isascii() or not _OTHER_DIGIT.search(raw.translate(None, _ASCII).decode()):
        return False
    return has_card_number(raw.decode())


def _has_card(run: str) -> bool:
    groups = _GROUP.findall(run)
    for start in range(len(groups)):
        digits = ""
        for group in groups[start:]:
            digits += group
            if len(digits) > 19:
                break
            if len(digits) >= 13 and is_card_number(_ascii(digits)):
                return True
    return False


def _ascii(digits: str) -> str:
    return digits if digits.isascii() else "".join(str(int(digit)) for digit in digits)


def _luhn(digits: str) -> bool:
    values = [int(digit) for digit in reversed(digits)]
    total = sum(values[::2]) + sum(_LUHN_DOUBLED[value] for value in values[1::2])
    return total % 10 == 0
