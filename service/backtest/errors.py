"""What can be wrong with a backtest? Each text says what to do."""

from __future__ import annotations


class BacktestError(Exception):
    """A backtest cannot be made or has failed."""

    code = "backtest_failed"


class DataUnusable(BacktestError):
    """A data set cannot be read, or is none."""

    code = "data_unusable"


class RuleSetUnusable(BacktestError):
    """One of the rule sets cannot be loaded, or the two cannot run side by side."""

    code = "rule_set_unusable"
