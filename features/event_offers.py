"""What do an offer and its merchant say: papers, words, prices?

Functions of the table in `event_features.py` about `listing` and `merchant`.
Invariant: None means unknown, as the `missing` text of the catalog row says; nothing raises.
"""

from __future__ import annotations

from collections.abc import Callable

from features.event_trade import Document
from features.signals import qualification, wording
from features.signals.agreement import share
from features.stated import EventFunction, Function, Stated


def merchant_age_seconds(stated: Stated) -> float | None:
    """Give the age of the merchant's shop when the event happened; a future one has no age."""
    merchant = stated.event.merchant
    if merchant is None or merchant.opened_at is None:
        return None
    age = (stated.event.occurred_at - merchant.opened_at).total_seconds()
    return age if age >= 0 else None


def listing_group(stated: Stated) -> str | None:
    group = _group(stated)
    return None if group is None else group.name


def listing_missing_licences(stated: Stated) -> int | None:
    lacking = _missing_licences(stated)
    return None if lacking is None else len(lacking)


def listing_missing_certificates(stated: Stated) -> int | None:
    lacking = _missing_certificates(stated)
    return None if lacking is None else len(lacking)


def listing_missing_paper(stated: Stated) -> str | None:
    """Name the first paper that is missing, a licence before a certificate."""
    lacking = [*(_missing_licences(stated) or ()), *(_missing_certificates(stated) or ())]
    return lacking[0] if lacking else None


def listing_papers_stated(stated: Stated) -> bool | None:
    """Say whether the caller tells about all papers that goods of this group need."""
    group, merchant, listing = _group(stated), stated.event.merchant, stated.event.listing
    if group is None or merchant is None or listing is None:
        return None
    licences = not group.licences or merchant.licences is not None
    return licences and (not group.certificates or listing.certificates is not None)


def listing_expired_papers(stated: Stated) -> int | None:
    at = stated.event.occurred_at
    return _count(stated, lambda paper: paper.valid_until is not None and paper.valid_until <= at)


def listing_unverified_papers(stated: Stated) -> int | None:
    return _count(stated, lambda paper: paper.is_verified is False)


def listing_foreign_licences(stated: Stated) -> int | None:
    merchant = stated.event.merchant
    if merchant is None or merchant.licences is None or stated.event.listing is None:
        return None
    return sum(paper.is_own is False for paper in merchant.licences)


def listing_is_prohibited(stated: Stated) -> bool | None:
    listing = stated.event.listing
    return None if listing is None else qualification.is_prohibited(listing.category)


def listing_names_prohibited(stated: Stated) -> bool | None:
    listing = stated.event.listing
    return None if listing is None else qualification.is_prohibited(listing.title)


def listing_title_statutory_terms(stated: Stated) -> int | None:
    listing = stated.event.listing
    return None if listing is None else len(wording.claims(listing.title, "").get("statutory", ()))


def listing_absolute_term(stated: Stated) -> str | None:
    """Give the first absolute term, one of the law's own before others."""
    found = [*(_found(stated, "statutory") or ()), *(_found(stated, "absolute") or ())]
    return found[0] if found else None


def listing_discount(stated: Stated) -> float | None:
    """Give the share that is taken off the price that is shown crossed out; below 0: dearer."""
    listing = stated.event.listing
    if listing is None:
        return None
    left = share(listing.price_minor, listing.was_price_minor)
    return None if left is None else 1 - left


def _counter(kind: str) -> Callable[[Stated], int | None]:
    def count(stated: Stated) -> int | None:
        found = _found(stated, kind)
        return None if found is None else len(found)

    return count


_TYPED: dict[str, tuple[str, Function]] = {
    "merchant_age_seconds": ("double", merchant_age_seconds),
    "listing_group": ("string", listing_group),
    "listing_missing_licences": ("int", listing_missing_licences),
    "listing_missing_certificates": ("int", listing_missing_certificates),
    "listing_missing_paper": ("string", listing_missing_paper),
    "listing_papers_stated": ("bool", listing_papers_stated),
    "listing_expired_papers": ("int", listing_expired_papers),
    "listing_unverified_papers": ("int", listing_unverified_papers),
    "listing_foreign_licences": ("int", listing_foreign_licences),
    "listing_is_prohibited": ("bool", listing_is_prohibited),
    "listing_names_prohibited": ("bool", listing_names_prohibited),
    "listing_statutory_terms": ("int", _counter("statutory")),
    "listing_title_statutory_terms": ("int", listing_title_statutory_terms),
    "listing_absolute_terms": ("int", _counter("absolute")),
    "listing_absolute_term": ("string", listing_absolute_term),
    "listing_disease_claims": ("int", _counter("disease")),
    "listing_guarantee_claims": ("int", _counter("guarantee")),
    "listing_state_claims": ("int", _counter("state")),
    "listing_yield_claims": ("int", _counter("yield")),
    "listing_breast_milk_claims": ("int", _counter("breast_milk")),
    "listing_discount": ("double", listing_discount),
}
FUNCTIONS: dict[str, EventFunction] = {
    name: EventFunction(type_, function, is_of_trade=True)
    for name, (type_, function) in _TYPED.items()
}


def _group(stated: Stated) -> qualification.Group | None:
    listing = stated.event.listing
    return None if listing is None else qualification.group_of(listing.category)


def _missing_licences(stated: Stated) -> list[str] | None:
    group, merchant = _group(stated), stated.event.merchant
    if group is None or merchant is None:
        return None
    if merchant.licences is None:
        return None if group.licences else []
    return qualification.missing(group.licences, {paper.kind for paper in merchant.licences})


def _missing_certificates(stated: Stated) -> list[str] | None:
    group, listing = _group(stated), stated.event.listing
    if group is None or listing is None:
        return None
    if listing.certificates is None:
        return None if group.certificates else []
    return qualification.missing(group.certificates, {paper.kind for paper in listing.certificates})


def _count(stated: Stated, what: Callable[[Document], bool]) -> int | None:
    merchant, listing = stated.event.merchant, stated.event.listing
    if merchant is None or listing is None:
        return None
    if merchant.licences is None and listing.certificates is None:
        return None
    return sum(map(what, (*(merchant.licences or ()), *(listing.certificates or ()))))


def _found(stated: Stated, kind: str) -> tuple[str, ...] | None:
    listing = stated.event.listing
    if listing is None:
        return None
    return wording.claims(listing.title, listing.description or "").get(kind, ())
