"""What does an e-mail address say by itself?

Invariant: answers are properties of the address, never parts of it.
"""

from __future__ import annotations

from features.entities import folded, normal_email

# A short list of well-known throw-away domains, from their own front pages. It is not complete and
# does not try to be: a miss is only one signal less.
DISPOSABLE_DOMAINS: frozenset[str] = frozenset(
    (
        "10minutemail.com",
        "33mail.com",
        "anonaddy.me",
        "discard.email",
        "dispostable.com",
        "emailondeck.com",
        "fakeinbox.com",
        "getairmail.com",
        "getnada.com",
        "grr.la",
        "guerrillamail.com",
        "guerrillamail.net",
        "guerrillamail.org",
        "inboxkitten.com",
        "linshiyouxiang.net",
        "maildrop.cc",
        "mailinator.com",
        "mailnesia.com",
        "mintemail.com",
        "mohmal.com",
        "moakt.com",
        "mytemp.email",
        "sharklasers.com",
        "spamgourmet.com",
        "temp-mail.io",
        "temp-mail.org",
        "tempail.com",
        "tempmail.dev",
        "throwawaymail.com",
        "trashmail.com",
        "yopmail.com",
        "yopmail.fr",
    )
)


def is_alias(email: str) -> bool:
    """Say whether an address is another spelling of a mailbox: a +tag, or dots that mean nothing.

    One dot is how people write their names, where dots mean nothing as well; several accounts with
    one mailbox are found by its tag, however it is spelled.

    >>> is_alias("li+2@example.com"), is_alias("l.i.n.a@gmail.com"), is_alias("li.na@gmail.com")
    (True, True, False)
    """
    local = email.rpartition("@")[0]
    if "+" not in local and local.count(".") < 2:
        return False
    return normal_email(email).rpartition("@")[0] != folded(local)


def is_disposable(email: str) -> bool:
    """Say whether the domain, or one above it, is a known throw-away domain.

    >>> is_disposable("x@eu.MailInator.com"), is_disposable("li@example.com")
    (True, False)
    """
    labels = email.rpartition("@")[2].casefold().split(".")
    return any(".".join(labels[start:]) in DISPOSABLE_DOMAINS for start in range(len(labels) - 1))


def digit_share(email: str) -> float | None:
    """Give the share of digits in the part before the @.

    >>> digit_share("li2026@example.com")
    0.6666666666666666
    """
    local = email.rpartition("@")[0]
    if not local:
        return None
    return sum(map(str.isdecimal, local)) / len(local)
