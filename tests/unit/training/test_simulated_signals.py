"""What the simulator makes up is such as there is: honest people contradict themselves nowhere."""

from __future__ import annotations

from datetime import date
from random import Random

from features.signals import agent, browser, mail, network, screen
from features.signals.phone import phone_number
from training.simulator.people import Maker

ON = date(2026, 6, 1)


def test_simulated_people_have_things_that_there_are() -> None:
    """Phones are valid numbers, mailboxes last, addresses are public, screens fit their agents."""
    make = Maker(Random(7), "t")
    for _ in range(400):
        number = phone_number(make.phone(), None)
        assert number is not None
        assert (number.country, number.kind, number.is_valid) == ("CN", "mobile", True)
        email = make.email()
        assert not mail.is_disposable(email)
        assert not mail.is_alias(email)
        assert network.ip_class(make.ip()) == network.ip_class(make.ip(hosting=True)) == "public"
        device = make.device()
        assert not agent.contradicts(device["user_agent"], device["platform"])
        assert screen.screen_contradicts(device["user_agent"], device["screen"]) is False
        age = browser.age_days(device["user_agent"], ON)
        assert age is not None
        assert 0 <= age < 720
