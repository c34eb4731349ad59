"""Which mailbox is behind an e-mail address, at the providers that most people use?

Only what a provider says has a row. QQ, NetEase (163, 126, yeah) and Sina document no other
spelling that leads to the same mailbox: no row.
Invariant: pure and total; normalising a mailbox again changes nothing.
"""

from __future__ import annotations

from typing import NamedTuple


class Provider(NamedTuple):
    """How a provider reads the part before the @.

    - `domain`: the one that stands for all domains with the same mailboxes.
    - `ignored`: characters that make no difference.
    - `tag`: what separates the mailbox from a free suffix; a plus does at every provider.
    - `subdomains`: whether `anything@NAME.domain` is the mailbox `NAME@domain`.
    """

    domain: str
    ignored: str = ""
    tag: str = "+"
    subdomains: bool = False


class Mailbox(NamedTuple):
    """A mailbox, and by what its spelling differed: a suffix or subdomain, ignored characters."""

    local: str
    domain: str
    tagged: bool
    ignored: int


# Gmail help, "Dots don't matter in Gmail addresses" and "Using a googlemail.com address".
_GMAIL = Provider("gmail.com", ignored=".")
# Yahoo help, "Disposable email addresses": base-keyword@; an ordinary Yahoo id has no hyphen.
_YAHOO_DOMAINS = (
    "yahoo.com", "ymail.com", "rocketmail.com", "myyahoo.com", "yahoo.ca", "yahoo.co.in",
    "yahoo.co.uk", "yahoo.com.ar", "yahoo.com.au", "yahoo.com.br", "yahoo.com.hk", "yahoo.com.mx",
    "yahoo.com.ph", "yahoo.com.sg", "yahoo.com.tw", "yahoo.com.vn", "yahoo.co.id", "yahoo.co.th",
    "yahoo.de", "yahoo.es", "yahoo.fr", "yahoo.ie", "yahoo.in", "yahoo.it",
)  # fmt: skip
# Proton support, "Email addresses and aliases": the short and the long domain are one account's.
# That dots, hyphens and underscores make no difference its staff has said in public.
_PROTON = Provider("proton.me", ignored="._-")
# Fastmail help, "Plus addressing and subdomain addressing".
_FASTMAIL_DOMAINS = ("fastmail.com", "fastmail.fm")

PROVIDERS: dict[str, Provider] = {
    "gmail.com": _GMAIL,
    "googlemail.com": _GMAIL,
    "proton.me": _PROTON,
    "protonmail.com": _PROTON,
    "protonmail.ch": _PROTON,
    "pm.me": _PROTON,
    # Apple support, "About your @icloud.com, @me.com, and @mac.com email addresses".
    "icloud.com": Provider("icloud.com"),
    "me.com": Provider("icloud.com"),
    "mac.com": Provider("icloud.com"),
    # Microsoft, "Plus addressing in Exchange Online": a plus only; dots tell accounts apart.
    **{name: Provider(name) for name in ("outlook.com", "hotmail.com", "live.com", "msn.com")},
    **{name: Provider(name, tag="-") for name in _YAHOO_DOMAINS},
    **{name: Provider(name, subdomains=True) for name in _FASTMAIL_DOMAINS},
}
# Providers that give mailboxes to anybody and whose spellings need no rule.
_OTHER_FREE = (
    "qq.com", "foxmail.com", "163.com", "126.com", "yeah.net", "sina.com", "sina.cn", "sohu.com",
    "139.com", "189.cn", "wo.cn", "aliyun.com", "tom.com", "yahoo.co.jp", "aol.com", "gmx.com",
    "gmx.de", "gmx.net", "web.de", "t-online.de", "mail.com", "mail.ru", "bk.ru", "inbox.ru",
    "list.ru", "yandex.ru", "yandex.com", "ya.ru", "zoho.com", "tuta.com", "tutanota.com",
    "naver.com", "daum.net", "hanmail.net", "orange.fr", "laposte.net", "free.fr", "libero.it",
    "hotmail.co.uk", "hotmail.de", "hotmail.es", "hotmail.fr", "hotmail.it", "live.cn",
    "outlook.de", "outlook.fr", "outlook.jp", "btinternet.com", "comcast.net", "rediffmail.com",
    "seznam.cz", "wp.pl", "o2.pl", "uol.com.br", "bol.com.br",
)  # fmt: skip
FREE_DOMAINS: frozenset[str] = frozenset((*PROVIDERS, *_OTHER_FREE))


def mailbox_of(local: str, domain: str) -> Mailbox:
    """Give the mailbox behind an address whose two parts are folded already.

    >>> mailbox_of("l.i+shop7", "googlemail.com")
    Mailbox(local='li', domain='gmail.com', tagged=True, ignored=1)
    >>> mailbox_of("li-shop7", "yahoo.com")[:2], mailbox_of("shop7", "li.fastmail.com")[:2]
    (('li', 'yahoo.com'), ('li', 'fastmail.com'))
    >>> mailbox_of("li-shop7", "example.com").local
    'li-shop7'
    """
    before = local.partition("+")[0]
    name, tagged = (before, before != local) if before else (local, False)
    provider = PROVIDERS.get(domain)
    if provider is None:
        user, _, above = domain.partition(".")
        provider = PROVIDERS.get(above)
        if provider is None or not provider.subdomains or not user:
            return Mailbox(name, domain, tagged, 0)
        name, tagged = user, True
    if provider.tag != "+":
        base = name.partition(provider.tag)[0]
        if base and base != name:
            name, tagged = base, True
    kept = name
    for character in provider.ignored:
        kept = kept.replace(character, "")
    if not kept:
        kept = name
    return Mailbox(kept, provider.domain, tagged, len(name) - len(kept))
