"""How far back series of a candidate are counted again."""

from __future__ import annotations

from features.catalog import Catalog
from service.backtest.fresh_series import fresh_names, warm_up_ms

DAY_MS = 86_400_000
ROWS = {
    "user_x": "{name: user_x, entity: user, measure: count, windows: [1h, 3d], events: [login]}",
    "user_y": "{name: user_y, entity: user, measure: distinct, of: ip, windows: [9d], "
    "events: [login]}",
    "user_z_first_seen": "{name: user_z_first_seen, entity: user, measure: first_seen, "
    "windows: [9d], events: [login]}",
}


def test_history_is_read_from_as_early_as_a_series_reaches() -> None:
    """The longest window decides; who was seen first may have been seen at any time."""
    base = Catalog.load()
    extended = base.extended(["series:\n" + "".join(f"  - {row}\n" for row in ROWS.values())])
    assert fresh_names(base, extended) == tuple(ROWS)
    assert fresh_names(extended, extended) == ()
    since = 100 * DAY_MS
    assert warm_up_ms(extended, ["user_x"], since) == since - 3 * DAY_MS
    assert warm_up_ms(extended, ["user_x", "user_y"], since) == since - 9 * DAY_MS
    assert warm_up_ms(extended, ["user_x"], DAY_MS) == 0
    assert warm_up_ms(extended, list(ROWS), since) is None
