"""What must be loaded before the first event, so that no event waits for it?

Patterns of browsers, plans of phone numbers, throw-away domains, time zones and words of offers:
0.13 s and 15 MB a
process. Invariant: without it everything still works, and the first events pay.
"""

from __future__ import annotations

from features.signals import browser, mail, phone, place, qualification, wording


def warm(year: int) -> None:
    """Load what functions of the event load at their first use; `year` is that of coming events."""
    mail.disposable_domains()
    phone.warm()
    browser.warm()
    place.warm(year)
    wording.warm()
    qualification.warm()
