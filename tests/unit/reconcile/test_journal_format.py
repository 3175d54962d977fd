"""journal_format: read and write the lines of a state file, and refuse lines that ddbreplica did not write."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from ddbreplica.aws.clock import MARGIN_SECONDS, UNKNOWN_HOLD_SECONDS
from ddbreplica.errors import TaskError
from ddbreplica.model import Key
from ddbreplica.reconcile.journal_format import (
    BACKFILL,
    DAMAGED,
    IDENTITY,
    REDRIVE,
    VERIFY,
    Contents,
    Hold,
    as_line,
    hold_lines,
    read,
)
from tests.support.memory_state import ManualClock

HEAD = {"ddbreplica": "state", "version": 2, "command": BACKFILL}
V1 = {"ddbreplica": "journal", "version": 1}
ANOTHER_FILE = "name another file with --state."
A, B, C = ((("PK", "S", name),) for name in "abc")


def key(name: str) -> Mapping[str, Any]:
    return {"PK": {"S": name}}


def lines(*written: Mapping[str, Any], head: Mapping[str, Any] = HEAD) -> Iterator[bytes]:
    return iter([as_line(line) for line in (head, *written)])


def contents(*written: Mapping[str, Any], head: Mapping[str, Any] = HEAD) -> Contents:
    return read(lines(*written, head=head), "a.state", BACKFILL)


def refusal(*written: bytes, command: str = BACKFILL) -> tuple[str, str]:
    with pytest.raises(TaskError) as raised:
        read(iter(written), "a.state", command)
    return raised.value.fact, raised.value.hint


class TestContents:
    def test_two_holds_of_different_keys_both_count(self) -> None:
        kept = contents(
            {"hold": [key("a")], "seconds": 5, "until": None}, {"hold": [key("b")], "seconds": 7, "until": 9}
        )

        assert kept.held == {A: Hold(0, 5), B: Hold(0, 7, 9)}

    def test_a_key_that_is_opened_is_no_longer_held_back_and_the_others_are(self) -> None:
        kept = contents({"hold": [key("a"), key("b")], "seconds": 5, "until": None}, {"open": [key("a")]})

        assert (kept.opened, kept.held) == ({A: None}, {B: Hold(0, 5)})

    def test_a_key_that_is_closed_is_neither_open_nor_held_back(self) -> None:
        kept = contents(
            {"open": [key("a"), key("b")]},
            {"hold": [key("a"), key("b")], "seconds": 5, "until": None},
            {"close": [key("a")]},
        )

        assert (kept.opened, kept.held) == ({B: None}, {B: Hold(0, 5)})

    def test_a_key_that_is_closed_twice_is_closed(self) -> None:
        assert contents({"open": [key("a")]}, {"close": [key("a")]}, {"close": [key("a")]}).opened == {}

    def test_the_last_note_of_a_name_counts(self) -> None:
        kept = contents({"note": "n", "value": 1}, {"note": "m", "value": 2}, {"note": "n", "value": None})

        assert kept.notes == {"n": None, "m": 2}


class TestFinding:
    def test_a_state_without_lines_is_that_of_a_run_that_ended_in_order(self) -> None:
        kept = Contents()
        kept.open([A])
        kept.find(now=0)

        assert kept.held == {}

    def test_a_killed_run_holds_back_open_and_held_keys_for_the_longest_time(self) -> None:
        kept = contents({"open": [key("a")]}, {"hold": [key("b")], "seconds": 3, "until": None})
        kept.find(now=50)

        assert kept.held == {A: Hold(50, UNKNOWN_HOLD_SECONDS), B: Hold(50, UNKNOWN_HOLD_SECONDS)}

    def test_the_writers_clock_shortens_the_hold_of_a_killed_run(self) -> None:
        kept = contents({"clock_ahead_seconds": 20}, {"open": [key("a")]})
        kept.find(now=50)

        assert kept.held == {A: Hold(50, 900 + 20 + MARGIN_SECONDS)}

    def test_a_longer_hold_of_a_killed_run_stays(self) -> None:
        kept = contents(
            {"clock_ahead_seconds": 20},
            {"open": [key("a"), key("b")]},
            {"hold": [key("a")], "seconds": 1500, "until": 77},
        )
        kept.find(now=50)

        assert kept.held == {A: Hold(50, 1500), B: Hold(50, 950)}

    def test_a_run_that_came_to_rest_leaves_its_holds_alone(self) -> None:
        kept = contents(
            {"open": [key("a"), key("b")]}, {"hold": [key("a")], "seconds": 30, "until": 77}, {"rest": True}
        )
        kept.find(now=50)

        assert kept.held == {A: Hold(50, 30, 77)}

    def test_reading_twice_gives_the_same(self) -> None:
        kept = contents({"clock_ahead_seconds": 20}, {"open": [key("a")]})
        kept.find(now=50)
        kept.find(now=50)

        assert kept.held == {A: Hold(50, 950)}
        assert kept.ahead is None


class TestHolding:
    def test_a_key_is_held_for_its_seconds_or_for_those_of_the_clock(self) -> None:
        clock = ManualClock(ahead_by=40)
        clock.respond()

        assert Hold(clock.ticks(), 5).left(clock) == 900 + 40 + MARGIN_SECONDS
        assert Hold(clock.ticks(), 5000).left(clock) == 5000

    def test_a_key_is_held_no_longer_than_until_a_time_of_aws(self) -> None:
        clock = ManualClock()
        clock.respond()

        assert Hold(clock.ticks(), 5000, until=clock.aws + 7).left(clock) == pytest.approx(7)
        assert Hold(clock.ticks(), 5000, until=clock.aws + 9000).left(clock) == 5000

    def test_the_time_of_aws_does_not_count_before_a_response(self) -> None:
        clock = ManualClock()

        assert Hold(clock.ticks(), 5000, until=1.0).left(clock) == 5000

    def test_a_hold_gets_its_end_by_the_time_of_aws(self) -> None:
        clock = ManualClock()
        clock.respond()
        kept = Contents()
        kept.hold({A: Hold(clock.ticks() - 100, 5000)})

        (hold,) = kept.until(clock).values()

        assert (hold.since, hold.seconds) == (clock.ticks() - 100, 5000)
        assert hold.until == pytest.approx(clock.aws + 4900)

    def test_only_what_is_still_held_back_is_counted(self) -> None:
        clock = ManualClock(ahead_by=-(900 + MARGIN_SECONDS))
        clock.respond()
        kept = Contents()
        kept.hold(
            {
                A: Hold(clock.ticks() - 2000, 2000.5),
                B: Hold(clock.ticks() - 2000, 2000),
                C: Hold(0, 9, until=0),
            }
        )

        assert kept.longest(clock) == (1, 0.5)

    def test_nothing_is_held_back_for_no_time(self) -> None:
        assert Contents().longest(ManualClock()) == (0, 0.0)


class TestLines:
    def test_the_fewest_lines_have_the_same_contents(self) -> None:
        kept = Contents()
        kept.ahead = 3.5
        kept.notes["n"] = [1]
        kept.open([A, B])
        kept.hold({A: Hold(8, 5), B: Hold(8, 5)})

        assert list(kept.lines()) == [
            {"clock_ahead_seconds": 3.5},
            {"note": "n", "value": [1]},
            {"open": [key("a"), key("b")]},
            {"hold": [key("a"), key("b")], "seconds": 5, "until": None},
        ]

    def test_an_unknown_clock_has_no_line(self) -> None:
        assert list(Contents().lines()) == []

    def test_a_line_has_a_thousand_keys_at_most(self) -> None:
        keys: Sequence[Key] = [(("PK", "S", str(number)),) for number in range(2001)]
        kept = Contents()
        kept.open(keys)

        assert [len(line["open"]) for line in kept.lines()] == [1000, 1000, 1]
        assert [len(line["hold"]) for line in hold_lines(dict.fromkeys(keys, Hold(0, 1)))] == [1000, 1000, 1]

    def test_holds_that_end_at_different_times_have_different_lines(self) -> None:
        held: dict[Key, Hold] = {A: Hold(0, 5), B: Hold(0, 6), C: Hold(1, 5)}

        assert list(hold_lines(held)) == [
            {"hold": [key("a"), key("c")], "seconds": 5, "until": None},
            {"hold": [key("b")], "seconds": 6, "until": None},
        ]


class TestReading:
    def test_an_incomplete_last_line_does_not_count(self) -> None:
        written = [*lines({"open": [key("a")]}), b'{"open":[{"PK"']

        assert read(iter(written), "a.state", BACKFILL).opened == {A: None}

    def test_an_empty_state_has_no_contents(self) -> None:
        assert read(iter([]), "a.state", BACKFILL).notes == {}
        assert read(iter([b""]), "a.state", BACKFILL).notes == {}

    @pytest.mark.parametrize(
        "damaged",
        [
            b"no JSON\n",
            b"[]\n",
            b'{"open":[{"PK":{"N":"x"}}]}\n',
            b'{"open":1}\n',
            b'{"rest":false}\n',
            b'{"clock_ahead_seconds":"x"}\n',
            b'{"hold":[],"seconds":1}\n',
            b'{"hold":[],"seconds":Infinity,"until":null}\n',
            b'{"hold":[],"seconds":1,"until":NaN}\n',
            b'{"hold":[],"seconds":NaN,"until":0}\n',
            b'{"note":"identity","value":1}\n',
            b'{"note":"backfill","value":1}\n',
            b"[" * 100_000 + b"\n",
        ],
    )
    def test_a_damaged_line_is_reported_with_a_hint(self, damaged: bytes) -> None:
        first, second = lines({"rest": True})

        assert refusal(first, second, damaged) == (
            "a.state:3: this line was not written by ddbreplica, or is damaged.",
            DAMAGED,
        )

    @pytest.mark.parametrize("first", [b"PK,value\n", b"{}\n", b"1", b'{"ddbreplica":"state"}\n'])
    def test_a_file_of_something_else_is_left_alone(self, first: bytes) -> None:
        assert refusal(first) == (
            "a.state:1: this line was not written by ddbreplica, or is damaged.",
            ANOTHER_FILE,
        )

    def test_the_state_of_another_command_is_left_alone(self) -> None:
        assert refusal(*lines(), command=REDRIVE) == (
            "a.state is the state file of `ddbreplica backfill`, not of `ddbreplica redrive`.",
            ANOTHER_FILE,
        )
        assert refusal(*lines(head=V1), command=VERIFY) == (
            "a.state is the state file of `ddbreplica backfill`, not of `ddbreplica verify`.",
            ANOTHER_FILE,
        )

    def test_the_state_of_another_version_is_refused(self) -> None:
        assert refusal(*lines(head={**HEAD, "version": 3})) == (
            "a.state was written by a different version of ddbreplica: its format is version 3.",
            "resume it with that version of ddbreplica, or name another file with --state.",
        )


class TestVersion1:
    @pytest.fixture(autouse=True)
    def _elsewhere(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """A machine in a time zone other than UTC."""
        monkeypatch.setenv("TZ", "XYZ-5")
        time.tzset()
        yield
        monkeypatch.undo()
        time.tzset()

    def identity(self, created: Any) -> Any:
        return contents({"note": BACKFILL, "value": {"source": created}}, head=V1).notes

    @pytest.mark.parametrize(
        ("written", "read_as"),
        [
            ("arn:a of 2026-11-28T01:00:00+02:00", "arn:a of 2026-11-27 23:00:00+00:00"),
            ("arn:a of b of 2026-11-28", "arn:a of b of 2026-11-28"),
            ("arn:a of yesterday", "arn:a of yesterday"),
            ("arn:a", "arn:a"),
            (None, None),
            (7, 7),
        ],
    )
    def test_the_time_of_a_table_is_read_in_utc(self, written: Any, read_as: Any) -> None:
        assert self.identity(written) == {IDENTITY: {"source": read_as}}

    def test_a_hold_without_seconds_is_the_longest(self) -> None:
        kept = contents({"hold": [key("a")], "until": 12.0}, head=V1)

        assert kept.held == {A: Hold(0, UNKNOWN_HOLD_SECONDS)}

    def test_no_hold_is_longer_than_the_longest(self) -> None:
        kept = contents({"hold": [key("a")], "seconds": 1e9, "until": None})

        assert kept.held == {A: Hold(0, UNKNOWN_HOLD_SECONDS)}


def test_a_line_is_compact_json() -> None:
    assert as_line({"open": [key("a")]}) == b'{"open":[{"PK":{"S":"a"}}]}\n'
    assert json.loads(as_line(HEAD)) == HEAD
