from __future__ import annotations

import pytest

from features.entities import normal_email
from features.mailboxes import FREE_DOMAINS, PROVIDERS
from features.signals import mail


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("l.i+shop@gmail.com", "li@googlemail.com"),
        ("li+shop@outlook.com", "li@outlook.com"),
        ("li-shop@yahoo.com", "li@yahoo.com"),
        ("li-a@yahoo.co.uk", "li-b+c@yahoo.co.uk"),
        ("li+x@me.com", "li@icloud.com"),
        ("shop@li.fastmail.com", "li+other@fastmail.com"),
        ("l-i_w.ei@protonmail.com", "liwei@pm.me"),
    ],
)
def test_spellings_of_one_mailbox_at_a_big_provider_are_one_entity(one: str, other: str) -> None:
    """Whatever a provider delivers to one mailbox has one normal form."""
    assert normal_email(one) == normal_email(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("l.i@outlook.com", "li@outlook.com"),
        ("li@outlook.com", "li@hotmail.com"),
        ("li-shop@gmail.com", "li@gmail.com"),
        ("li-shop@yahoo.co.jp", "li@yahoo.co.jp"),
        ("li.wei@qq.com", "liwei@qq.com"),
        ("li@163.com", "li@126.com"),
        ("shop@li.example.com", "li@example.com"),
        ("shop@a.li.fastmail.com", "li@fastmail.com"),
        ("-shop@yahoo.com", "-mail@yahoo.com"),
        ("shop@li.outlook.com", "li@outlook.com"),
    ],
)
def test_mailboxes_that_a_provider_tells_apart_stay_two(one: str, other: str) -> None:
    """No rule of one provider is applied at another, and none beyond what the provider says."""
    assert normal_email(one) != normal_email(other)


@pytest.mark.parametrize(
    ("email", "alias"),
    [
        ("li-shop@yahoo.com", True),
        ("shop@li.fastmail.com", True),
        ("j.a.n.e@proton.me", True),
        ("jane_doe@proton.me", False),
        ("li-wei@qq.com", False),
        ("li@fastmail.com", False),
        ("...@gmail.com", False),
    ],
)
def test_a_tag_or_several_idle_characters_make_an_alias(email: str, alias: bool) -> None:
    """One separator is how people write their names; a tag, or several, is another spelling."""
    assert mail.is_alias(email) is alias


def test_every_provider_stands_for_itself_and_is_free() -> None:
    """The domain that stands for a provider has its own row, and every row is a free domain."""
    for domain, provider in PROVIDERS.items():
        assert PROVIDERS[provider.domain].domain == provider.domain, domain
    assert set(PROVIDERS) <= FREE_DOMAINS


def test_the_list_of_throw_away_domains_is_the_maintained_one() -> None:
    """Thousands of domains are known, none of them a big provider or an alias service."""
    known = mail.disposable_domains()
    assert len(known) > 5000
    assert not known & FREE_DOMAINS
    assert not known & {"privaterelay.appleid.com", "duck.com", "mozmail.com", "example.com"}


def test_random_names_have_more_entropy_than_words() -> None:
    """The entropy of a random string is above that of a name of the same length."""
    random, name = mail.entropy_bits("x7kq2v9b@a.io"), mail.entropy_bits("anna.han@a.io")
    assert random is not None
    assert name is not None
    assert random > name
