"""loader: rows are written to the table, and a run that ends early reports how far it came."""

import itertools
import os
import re
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from ddbreplica.driver import Interrupt, Patience
from ddbreplica.dynamodb.rate import Rate
from ddbreplica.errors import StoppedError, TaskError
from ddbreplica.model import Refusal, RefusalKind
from ddbreplica_cli.samples.loader import Loaded, Loader, Problems
from ddbreplica_cli.samples.logfile import BadRow, Row, Rows
from ddbreplica_cli.terminal.driver import noting_interrupts
from ddbreplica_cli.terminal.exit_status import exit_status
from tests.support.fake_replica import DENIED, INVALID, THROTTLED, FakeReplica, Request, in_turn


class Waiting(Interrupt):
    """A clock that only sleeping advances."""

    now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += max(seconds, 0.1)


def row(line: int, pk: str | None = None, **attributes: Any) -> Row:
    return Row(line, {"PK": {"S": pk or f"request#{line}"}, **attributes})


class Load:
    """A loader on a fake table, with its result."""

    def __init__(
        self,
        replica: FakeReplica,
        *,
        interrupt: Interrupt | None = None,
        per_second: float | None = None,
        start_at: int = 1,
        skip_bad_rows: bool = False,
    ) -> None:
        waiting = interrupt or Waiting()
        patience = Patience(waiting, seconds=60, clock=lambda: getattr(waiting, "now", 0.0))
        self.loaded = Loaded(start_at)
        rate = Rate(per_second, clock=lambda: getattr(waiting, "now", 0.0), sleep=waiting.sleep)
        self._skip_bad_rows = skip_bad_rows
        self._loader = Loader(replica, self.loaded, patience=patience, rate=rate, advance=lambda _: None)

    def load(self, rows: Rows) -> None:
        self._loader.load(rows, skip_bad_rows=self._skip_bad_rows)


def keys(replica: FakeReplica) -> set[str]:
    return {item["PK"]["S"] for item in replica.items.values()}


def failing(load: Load, rows: Rows) -> TaskError:
    with pytest.raises(TaskError) as failed:
        load.load(rows)
    return failed.value


def test_every_row_is_written_and_counted() -> None:
    replica = FakeReplica()
    load = Load(replica)

    load.load(row(line) for line in range(1, 2501))

    assert load.loaded.written == len(replica.items) == 2500


def test_no_more_than_a_piece_is_held_in_memory() -> None:
    replica = FakeReplica()
    ahead: list[int] = []

    def rows() -> Iterator[Row]:
        for line in range(1, 2501):
            ahead.append(line - len(replica.items))
            yield row(line)

    Load(replica).load(rows())

    assert max(ahead) == 1000


def test_the_last_row_of_a_request_id_wins_and_all_are_counted() -> None:
    replica = FakeReplica()
    load = Load(replica)

    load.load([row(1, "a", n={"N": "1"}), row(2, "a", n={"N": "2"})])

    assert list(replica.items.values()) == [{"PK": {"S": "a"}, "n": {"N": "2"}}]
    assert load.loaded.written == 2


def test_a_refused_row_is_reported_with_its_line_and_the_others_are_written() -> None:
    replica = FakeReplica(poison=lambda item: item["PK"]["S"] == "request#2")
    load = Load(replica)

    load.load([row(1), row(2), row(3)])

    assert keys(replica) == {"request#1", "request#3"}
    assert load.loaded.written == 2
    assert load.loaded.refused == Problems(1, [("line 2", f"ValidationException: {INVALID.message}")])


def test_a_refused_row_leaves_the_one_before_it_with_the_same_request_id() -> None:
    replica = FakeReplica(poison=lambda item: "bad" in item)
    load = Load(replica)

    load.load([row(1, "a", good={"N": "1"}), row(2, "a", bad={"N": "2"})])

    assert list(replica.items.values()) == [{"PK": {"S": "a"}, "good": {"N": "1"}}]
    assert (load.loaded.written, load.loaded.refused.count) == (1, 1)


def test_a_bad_row_ends_it_after_the_rows_before_it_were_written() -> None:
    replica = FakeReplica()

    error = failing(Load(replica), [row(1), BadRow(2, 2, "expected 10 columns and found 2"), row(3)])

    assert error.fact == "line 2: expected 10 columns and found 2; 1 row written."
    assert exit_status(error) == 2
    assert keys(replica) == {"request#1"}


def test_bad_rows_can_be_skipped() -> None:
    replica = FakeReplica()
    load = Load(replica, skip_bad_rows=True)

    load.load([row(1), BadRow(2, 3, "why"), row(4)])

    assert keys(replica) == {"request#1", "request#4"}
    assert load.loaded.left_out == Problems(1, [("lines 2-3", "why")])


def test_throttling_is_waited_for() -> None:
    replica = FakeReplica(script=in_turn(THROTTLED, THROTTLED, THROTTLED))
    load = Load(replica)

    load.load([row(1)])

    assert load.loaded.written == 1


def test_a_table_that_moves_now_and_then_is_waited_for_without_end() -> None:
    waiting = Waiting()

    def one_at_a_time(request: Request) -> Request:
        waiting.now += 30
        return request[1:]

    load = Load(FakeReplica(script=one_at_a_time), interrupt=waiting)

    load.load([row(line) for line in range(1, 11)])

    assert load.loaded.written == 10
    assert waiting.now >= 300


def test_a_table_that_refuses_many_rows_does_not_end_the_load() -> None:
    waiting = Waiting()

    def slowly(_request: Request) -> Refusal:
        waiting.now += 30
        return INVALID

    load = Load(FakeReplica(script=slowly), interrupt=waiting)

    load.load([row(line) for line in range(1, 11)])

    assert load.loaded.refused.count == 10


def test_a_table_that_accepts_no_more_rows_ends_the_load() -> None:
    replica = FakeReplica(script=lambda _: () if len(replica.items) < 1000 else THROTTLED)

    error = failing(Load(replica), [row(line) for line in range(1, 1002)])

    # A minute, less the core's margin and the pause that no longer fitted.
    assert re.match(r"the table accepted no write for (38|39|40) seconds", error.fact)
    assert error.fact.endswith(" seconds (ThrottlingException: slow down); 1,000 rows written.")
    assert error.hint.startswith("wait a moment, or raise the table's capacity")
    assert error.facts["row_count"] == 1000


def test_a_fault_ends_it_with_the_number_of_rows_written() -> None:
    replica = FakeReplica(script=lambda _: () if len(replica.items) < 1000 else DENIED)

    error = failing(Load(replica), [row(line) for line in range(1, 1002)])

    assert error.fact == "AccessDeniedException: not authorised; 1,000 rows written."
    assert error.hint == (
        "use credentials that may do this (--profile), or have the permission added."
        " To resume, add --start-at 1001."
    )


def test_an_interrupt_ends_it_between_two_requests() -> None:
    requests = itertools.count(1)

    def interrupting(_request: Request) -> tuple[()]:
        if next(requests) == 42:
            os.kill(os.getpid(), signal.SIGINT)
        return ()

    replica = FakeReplica(script=interrupting)
    with noting_interrupts() as interrupt:
        error = failing(Load(replica, interrupt=interrupt), (row(line) for line in range(1, 5001)))

    assert isinstance(error, StoppedError)
    assert exit_status(error) == 130
    assert error.fact == f"interrupted; {len(replica.items):,} rows written."
    assert 1000 <= len(replica.items) < 5000
    assert error.hint == "run the same command again. To resume, add --start-at 1001."
    assert error.facts["start_at"] == 1001


def test_an_interrupt_ends_waiting_for_a_throttled_table() -> None:
    class Pressed(Waiting):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            self.is_set = True

    error = failing(Load(FakeReplica(script=lambda _: THROTTLED), interrupt=Pressed()), [row(1)])

    assert error.fact == "interrupted; 0 rows written."


def test_all_problems_are_counted_and_the_first_ten_listed() -> None:
    problems = Problems()
    for line in range(1, 13):
        problems.add(f"line {line}", "why")

    assert next(problems.texts()) == "  line 1: why"
    assert [*problems.texts()][9:] == ["  line 10: why", "  and 2 more"]


def test_an_unknown_refusal_still_comes_with_something_to_try() -> None:
    odd = Refusal(RefusalKind.TRANSIENT, "NeverHeardOf", "out\nof\norder")

    assert failing(Load(FakeReplica(script=lambda _: odd)), [row(1)]).hint == "run the same command again."


def test_rows_before_the_first_line_are_skipped_including_bad_ones() -> None:
    replica = FakeReplica()
    load = Load(replica, start_at=3)

    load.load([row(1), BadRow(2, 4, "why"), row(5)])

    assert keys(replica) == {"request#5"}
    assert load.loaded.written == 1


def test_a_load_that_is_resumed_at_the_reported_line_writes_every_row() -> None:
    bad = [row(line) if line != 1700 else BadRow(line, line, "why") for line in range(1, 2501)]
    replica = FakeReplica()
    start_at = failing(Load(replica), bad).facts["start_at"]

    load = Load(replica, start_at=start_at)
    load.load(row(line) for line in range(1, 2501))

    assert start_at == 1700
    assert load.loaded.written == 801
    assert len(replica.items) == 2500


def test_a_load_that_ends_at_its_first_row_has_nowhere_else_to_start() -> None:
    error = failing(Load(FakeReplica(script=lambda _: DENIED)), [row(1)])

    assert error.hint == "use credentials that may do this (--profile), or have the permission added."


def test_a_rate_is_kept_from_the_first_row_on_and_over_all() -> None:
    waiting = Waiting()
    written: list[tuple[float, int]] = []

    def noting(request: Request) -> tuple[()]:
        written.append((waiting.now, len(request)))
        return ()

    Load(FakeReplica(script=noting), interrupt=waiting, per_second=5).load(row(line) for line in range(1, 21))

    assert written == [(1, 5), (2, 5), (3, 5), (4, 5)]


def test_a_large_row_takes_its_units_of_the_rate() -> None:
    waiting = Waiting()
    text = {"S": "x" * 10 * 1024}

    Load(FakeReplica(), interrupt=waiting, per_second=2).load([row(1, text=text), row(2, text=text)])

    assert waiting.now == 11


def test_a_wait_for_the_rate_is_not_a_lack_of_progress() -> None:
    waiting = Waiting()
    text = {"S": "x" * 300 * 1024}
    replica = FakeReplica(script=in_turn(THROTTLED, (), THROTTLED, ()))
    load = Load(replica, interrupt=waiting, per_second=1)

    load.load([row(1, text=text), row(2, text=text)])

    assert load.loaded.written == 2


def test_an_interrupt_ends_a_wait_for_the_rate() -> None:
    class Pressed(Waiting):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            self.is_set = True

    replica = FakeReplica()

    error = failing(Load(replica, interrupt=Pressed(), per_second=1), [row(1)])

    assert isinstance(error, StoppedError)
    assert replica.items == {}
