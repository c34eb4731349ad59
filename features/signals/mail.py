"""What does an e-mail address say by itself?

Throw-away domains come from the package disposable-email-domains (MIT), a release a week.
Invariant: answers are properties of the address, never parts of it.
"""

from __future__ import annotations

from functools import cache
from math import log2

from features.entities import folded
from features.mailboxes import FREE_DOMAINS, mailbox_of

# Services whose own front page offers throw-away addresses and that the package does not have.
_ALSO_DISPOSABLE = frozenset(
    ("33mail.com", "anonaddy.me", "spamgourmet.com", "temp-mail.io", "tempmail.dev")
)


@cache
def disposable_domains() -> frozenset[str]:
    """Give every known throw-away domain, about ten thousand; loaded at the first call."""
    from disposable_email_domains import blocklist

    return _ALSO_DISPOSABLE | blocklist


def is_alias(email: str) -> bool:
    """Say whether an address is another spelling of a mailbox: a tag, or dots that mean nothing.

    One dot is how people write their names, where dots mean nothing as well; several accounts with
    one mailbox are found by its tag, however it is spelled.

    >>> is_alias("li+2@example.com"), is_alias("l.i.n.a@gmail.com"), is_alias("li.na@gmail.com")
    (True, True, False)
    """
    local, _, domain = folded(email).rpartition("@")
    mailbox = mailbox_of(local, domain)
    return mailbox.tagged or mailbox.ignored > 1


def is_disposable(email: str) -> bool:
    """Say whether the domain, or one above it, is a known throw-away domain.

    >>> is_disposable("x@eu.MailInator.com"), is_disposable("li@example.com")
    (True, False)
    """
    known = disposable_domains()
    domain = email.rpartition("@")[2].casefold()
    if domain in known:
        return True
    labels = domain.split(".")
    return any(".".join(labels[start:]) in known for start in range(1, len(labels) - 1))


def is_free(email: str) -> bool:
    """Say whether the mailbox is at a provider that gives them to anybody.

    >>> is_free("li@QQ.com"), is_free("li@example.com")
    (True, False)
    """
    return email.rpartition("@")[2].casefold() in FREE_DOMAINS


def digit_share(email: str) -> float | None:
    """Give the share of digits in the part before the @.

    >>> digit_share("li2026@example.com")
    0.6666666666666666
    """
    local = email.rpartition("@")[0]
    if not local:
        return None
    return sum(map(str.isdecimal, local)) / len(local)


def entropy_bits(email: str) -> float | None:
    """Give the Shannon entropy of the part before the @, in bits a character, case folded.

    Names have 2 to 3, strings of random letters and digits more; a repeated character has 0.

    >>> entropy_bits("aabb@example.com"), entropy_bits("zzzz@example.com")
    (1.0, 0.0)
    """
    local = email.rpartition("@")[0].casefold()
    if not local:
        return None
    size = len(local)
    counts = map(local.count, set(local))
    return sum([count / size * log2(size / count) for count in counts])
