"""requests_under_way: a call counts until it ends in order."""

import pytest

from ddbreplica.errors import SourceError, TaskError
from ddbreplica.reconcile.requests_under_way import UnderWay


def test_none_is_under_way_before_the_first() -> None:
    under_way = UnderWay()
    before = under_way.is_none
    with under_way.call():
        during = under_way.is_none

    assert (before, during, under_way.is_none) == (True, False, True)


def test_each_of_two_has_to_end() -> None:
    under_way = UnderWay()

    with under_way.call():
        with under_way.call():
            pass
        assert not under_way.is_none
    assert under_way.is_none


@pytest.mark.parametrize("error", [TaskError("none", hint="none"), SourceError("None.", hint="None.")])
def test_an_error_of_reconcile_is_an_end_in_order(error: Exception) -> None:
    under_way = UnderWay()

    with pytest.raises(type(error)) as raised, under_way.call():
        raise error

    assert raised.value is error
    assert under_way.is_none


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_any_other_exception_is_not(error: type[BaseException]) -> None:
    under_way = UnderWay()

    with pytest.raises(error), under_way.call():
        raise error

    assert not under_way.is_none
    with under_way.call():
        pass
    assert not under_way.is_none
