from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode

import pytest

from features.tags import TAG_FIELDS, BadTagKeys, Tagger, derive_tag_keys


def test_a_tag_is_the_hmac_of_the_value_under_the_key_of_its_field() -> None:
    keys = derive_tag_keys(bytes(range(32)))
    digest = hmac.new(keys["email"], "李@example.com".encode(), hashlib.sha256).digest()
    expected = urlsafe_b64encode(digest[:16]).decode().rstrip("=")
    tagger = Tagger(keys)
    assert tagger.tag("email", "李@example.com") == expected
    assert tagger.tag("email", "李@example.com") == expected, "making a tag leaves no trace"


def test_every_field_has_a_key_of_its_own() -> None:
    tagger = Tagger(derive_tag_keys(bytes(32)))
    assert len({tagger.tag(field, "x") for field in TAG_FIELDS}) == len(TAG_FIELDS)


def test_a_missing_or_short_key_is_refused_at_start() -> None:
    keys = derive_tag_keys(bytes(32))
    with pytest.raises(BadTagKeys, match="phone"):
        Tagger({**keys, "phone": b"short"})
    with pytest.raises(BadTagKeys, match="32"):
        derive_tag_keys(b"short")


def test_a_tagger_does_not_show_its_keys() -> None:
    assert repr(Tagger(derive_tag_keys(bytes(32)))) == "Tagger(...)"
