"""What do user agent and screen say about each other, and about the time of the event?

Functions of the table in `event_features.py` about browser and device.
Invariant: None means unknown, as the `missing` text of the catalog row says; nothing raises.
"""

from __future__ import annotations

from features.signals import agent, browser, screen
from features.stated import EventFunction, Stated


def agent_system(stated: Stated) -> str | None:
    text = _agent(stated)
    return None if text is None else agent.agent_system(text)


def agent_device_type(stated: Stated) -> str | None:
    text = _agent(stated)
    return None if text is None else screen.device_type(text)


def browser_family(stated: Stated) -> str | None:
    text = _agent(stated)
    found = None if text is None else browser.browser_of(text)
    return None if found is None else found.family


def browser_major(stated: Stated) -> int | None:
    text = _agent(stated)
    found = None if text is None else browser.browser_of(text)
    return None if found is None else found.major


def browser_age_days(stated: Stated) -> int | None:
    text = _agent(stated)
    return None if text is None else browser.age_days(text, stated.event.occurred_at)


def screen_contradicts_agent(stated: Stated) -> bool | None:
    device = stated.event.device
    if device is None or device.user_agent is None or device.screen is None:
        return None
    return screen.screen_contradicts(device.user_agent, device.screen)


FUNCTIONS: dict[str, EventFunction] = {
    "agent_system": EventFunction("string", agent_system),
    "agent_device_type": EventFunction("string", agent_device_type),
    "browser_family": EventFunction("string", browser_family),
    "browser_major": EventFunction("int", browser_major),
    "browser_age_days": EventFunction("int", browser_age_days),
    "screen_contradicts_agent": EventFunction("bool", screen_contradicts_agent),
}


def _agent(stated: Stated) -> str | None:
    device = stated.event.device
    return None if device is None else device.user_agent
