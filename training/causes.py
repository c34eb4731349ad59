"""Which plain cause does a feature speak for?

TreeSHAP gives a weight for each feature; people are told causes. The first pattern that a feature's
name matches decides, so that a feature added to the catalog finds its cause by its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_CAUSES: tuple[tuple[str, str], ...] = (
    (r"login|failed_users", "MODEL_LOGIN_BEHAVIOUR"),
    (r"return|not_received", "MODEL_RETURN_BEHAVIOUR"),
    (r"coupon", "MODEL_COUPON_BEHAVIOUR"),
    (r"payment|instrument|card", "MODEL_PAYMENT_BEHAVIOUR"),
    (r"account_age", "MODEL_ACCOUNT_NEW"),
    (r"email", "MODEL_EMAIL"),
    (r"^ip_|event_ip_|_ips_|countries", "MODEL_NETWORK"),
    (r"^device_(distinct_users|signups)", "MODEL_DEVICE_SHARED"),
    (r"device|fingerprint|agent|browser|screen|platform|timezone|language", "MODEL_DEVICE_SIGNALS"),
    (r"^order\.|basket|event_amount", "MODEL_BASKET"),
    (r"^(user|address|phone)_", "MODEL_VELOCITY_HIGH"),
)


def cause_of(feature: str) -> str:
    """Return the reason code of a feature's cause.

    >>> cause_of("device_distinct_users_24h"), cause_of("event_local_hour")
    ('MODEL_DEVICE_SHARED', 'MODEL_OTHER')
    """
    for pattern, code in _CAUSES:
        if re.search(pattern, feature):
            return code
    return "MODEL_OTHER"


def causes_of(features: Iterable[str]) -> dict[str, str]:
    """Return the cause of each feature, for the manifest."""
    return {feature: cause_of(feature) for feature in features}
