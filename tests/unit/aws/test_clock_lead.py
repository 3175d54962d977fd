"""clock: the lead of the local clock over AWS's clock."""

import time
from collections.abc import Iterator
from email.utils import formatdate

import pytest

from ddbreplica.aws.clock import Skew, hold_seconds


def at(seconds: float) -> str:
    return formatdate(seconds, usegmt=True)


def test_before_the_first_response_the_lead_is_unknown() -> None:
    skew = Skew()

    assert skew.ahead is None
    assert skew.hold_seconds == 1800
    assert not skew.is_too_large


def test_the_largest_lead_of_any_response_counts() -> None:
    skew = Skew()
    for date, sent_at in ((1000, 1002.5), (1000, 1100.0), (1000, 990.0)):
        skew.observe(at(date), sent_at=sent_at)

    assert skew.ahead == 100
    assert skew.hold_seconds == 900 + 100 + 30


def test_a_clock_that_is_behind_is_not_ahead() -> None:
    skew = Skew()
    skew.observe(at(1000), sent_at=400.0)

    assert skew.ahead == 0
    assert skew.hold_seconds == 930


@pytest.mark.parametrize("date", [None, "", "yesterday", "Sat, 99 Nov 2026 18:49:41 GMT", "\x00", "é"])
def test_an_invalid_date_header_is_ignored(date: str | None) -> None:
    skew = Skew()
    skew.observe(date, sent_at=1000.0)

    assert skew.ahead is None


@pytest.fixture
def _in_tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("_in_tokyo")
@pytest.mark.parametrize(
    "date",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 -0000",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun Nov  6 08:49:37 1994",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
    ],
)
def test_a_date_is_in_gmt_wherever_the_clock_is(date: str) -> None:
    skew = Skew()
    skew.observe(date, sent_at=784_111_777.0 + 7)

    assert skew.ahead == 7


@pytest.mark.parametrize(("ahead", "is_too_large"), [(300.0, False), (301.0, True)])
def test_a_lead_of_more_than_five_minutes_is_too_large(ahead: float, is_too_large: bool) -> None:
    skew = Skew()
    skew.observe(at(1000), sent_at=1000.0 + ahead)

    assert skew.is_too_large is is_too_large


@pytest.mark.parametrize(
    ("ahead", "seconds"), [(None, 1800), (float("inf"), 1800), (float("nan"), 1800), (-5.0, 930), (12.0, 942)]
)
def test_the_hold_covers_the_lead_of_the_clock_that_signed(ahead: float | None, seconds: float) -> None:
    assert hold_seconds(ahead) == seconds
