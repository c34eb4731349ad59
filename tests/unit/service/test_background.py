"""Work beside the requests ends with its owner, and never in silence."""

from __future__ import annotations

import asyncio
import logging

import pytest

from service.background import Background

FOREVER = 3600.0


async def _until_cancelled(seen: list[str]) -> None:
    seen.append("begun")
    try:
        await asyncio.sleep(FOREVER)
    finally:
        await asyncio.sleep(0)
        seen.append("ended")


async def _wrong() -> None:
    raise ValueError("not as it should be")


async def _wrong_at_the_end() -> None:
    try:
        await asyncio.sleep(FOREVER)
    except asyncio.CancelledError:
        raise ValueError("could not be put away") from None


async def _soon() -> None:
    await asyncio.sleep(0)


async def test_work_is_over_when_end_returns(caplog: pytest.LogCaptureFixture) -> None:
    """It is cancelled, its last steps are waited for, and that is no error to anybody."""
    background, seen = Background("errand"), list[str]()
    was_running = [background.is_running]
    background.start(_until_cancelled(seen))
    was_running.append(background.is_running)
    await asyncio.sleep(0)
    await background.end()
    assert seen == ["begun", "ended"]
    assert [*was_running, background.is_running] == [False, True, False]
    assert caplog.records == []


async def test_end_without_work_does_nothing() -> None:
    """Nothing was started, it is over, or it was ended before."""
    background = Background("errand")
    await background.end()
    background.start(_soon())
    await asyncio.sleep(0.01)
    assert not background.is_running
    await background.end()
    await background.end()


async def test_an_error_is_logged_at_once_and_raised_at_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The log names the work and says where it went wrong, long before anybody ends it."""
    background = Background("errand")
    background.start(_wrong())
    await asyncio.sleep(0.01)
    assert not background.is_running
    (record,) = caplog.records
    assert (record.levelno, record.getMessage()) == (logging.ERROR, "errand ended by an error")
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ValueError)
    with pytest.raises(ValueError, match="not as it should be"):
        await background.end()


async def test_an_error_of_the_last_steps_is_told_too(caplog: pytest.LogCaptureFixture) -> None:
    """Work that answers its cancellation with an error has not ended well."""
    background = Background("errand")
    background.start(_wrong_at_the_end())
    await asyncio.sleep(0)
    with pytest.raises(ValueError, match="could not be put away"):
        await background.end()
    assert [record.getMessage() for record in caplog.records] == ["errand ended by an error"]


async def test_other_work_can_follow(caplog: pytest.LogCaptureFixture) -> None:
    """After work that ended well, by an error or by `end`; never beside it."""
    background, seen = Background("errand"), list[str]()
    for work in (_soon(), _wrong()):
        background.start(work)
        await asyncio.sleep(0.01)
    background.start(_until_cancelled(seen))
    beside = _soon()
    with pytest.raises(AssertionError, match="errand runs already"):
        background.start(beside)
    beside.close()
    await asyncio.sleep(0)
    await background.end()
    background.start(_until_cancelled(seen))
    await asyncio.sleep(0)
    await background.end()
    assert seen == ["begun", "ended"] * 2
    assert len(caplog.records) == 1
