"""signals: the effect of the first signal, of a second one, and of a repeated one."""

import signal
from collections.abc import Iterator

import pytest

from ddbreplica_cli.terminal import signals
from ddbreplica_cli.terminal.driver import noting_interrupts
from ddbreplica_cli.terminal.signals import Signals


class Ended(Exception):  # noqa: N818  it stands for the end of the process
    pass


@pytest.fixture(autouse=True)
def _ends(monkeypatch: pytest.MonkeyPatch) -> None:
    def end(number: int) -> None:
        raise Ended(number)

    monkeypatch.setattr(signals, "_end_at_once", end)


@pytest.fixture
def hangup() -> Iterator[None]:
    before = signal.getsignal(signal.SIGHUP)
    yield
    signal.signal(signal.SIGHUP, before)


def test_the_first_signal_is_raised_and_the_second_ends_the_process() -> None:
    handler = Signals()

    with pytest.raises(KeyboardInterrupt):
        handler(signal.SIGTERM, None)
    with pytest.raises(Ended):
        handler(signal.SIGINT, None)

    assert handler.exit_status == 143


def test_a_noted_first_signal_raises_nothing_and_the_second_ends_the_process() -> None:
    with noting_interrupts() as interrupt:
        signal.raise_signal(signal.SIGTERM)
        assert interrupt.is_set
        assert interrupt.exit_status == 143
        with pytest.raises(Ended):
            signal.raise_signal(signal.SIGINT)


def test_after_the_block_a_signal_is_raised() -> None:
    with signals.handled() as handler:
        with noting_interrupts():
            pass
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)

    assert handler.first == signal.SIGTERM


@pytest.mark.parametrize(
    ("first", "second", "seconds", "ends"),
    [
        (signal.SIGTERM, signal.SIGHUP, 0.9, False),
        (signal.SIGTERM, signal.SIGHUP, 1.1, True),
        (signal.SIGTERM, signal.SIGTERM, 0.1, False),
        (signal.SIGTERM, signal.SIGTERM, 0.3, True),
        (signal.SIGINT, signal.SIGINT, 0.1, False),
        (signal.SIGINT, signal.SIGINT, 0.3, True),
        (signal.SIGTERM, signal.SIGINT, 0.001, True),
    ],
)
def test_a_repeated_signal_is_not_a_second_signal(
    first: signal.Signals, second: signal.Signals, seconds: float, *, ends: bool
) -> None:
    now = [0.0]
    handler = Signals(clock=lambda: now[0])
    with handler.noted(lambda _: None):
        handler(first, None)
        now[0] = seconds
        try:
            handler(second, None)
        except Ended:
            assert ends
        else:
            assert not ends


def test_an_ignored_hangup_stays_ignored(hangup: None) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

    with signals.handled():
        signal.raise_signal(signal.SIGHUP)

    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_the_earlier_handlers_are_restored(hangup: None) -> None:
    chosen = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    before = [signal.getsignal(number) for number in chosen]

    with signals.handled() as handler:
        assert [signal.getsignal(number) for number in chosen] == [handler] * 3

    assert [signal.getsignal(number) for number in chosen] == before
