"""The tests that every Journal passes: the fake, and those that keep keys on disk."""

from abc import ABC, abstractmethod

from ddbreplica.aws.clock import UNKNOWN_HOLD_SECONDS as HOLD
from ddbreplica.model import Journal, Key

A: Key = (("PK", "S", "a"),)
B: Key = (("PK", "S", 'é "\n'), ("SK", "N", "-1500"))
C: Key = (("PK", "B", "AAH/"),)


class JournalContract(ABC):
    """The suite. Each implementation has a subclass."""

    @abstractmethod
    def journal(self) -> Journal:
        """Return the journal for another run, after the runs before were killed."""

    @abstractmethod
    def pass_by(self, seconds: float) -> None:
        """Let so many seconds pass."""

    def test_new_keys_may_be_written(self) -> None:
        assert list(self.journal().intend([A, B, C])) == [A, B, C]

    def test_keys_that_this_run_left_open_may_be_written_again(self) -> None:
        journal = self.journal()
        journal.intend([A, B])

        assert list(journal.intend([A, B, C])) == [A, B, C]

    def test_keys_in_doubt_are_held_back_until_their_writes_can_no_longer_land(self) -> None:
        journal = self.journal()
        journal.intend([A, B])
        self.pass_by(HOLD)
        journal.mark_in_doubt([B])

        self.pass_by(HOLD - 1)
        assert list(journal.intend([A, B])) == [A]
        self.pass_by(1)
        assert list(journal.intend([A, B])) == [A, B]

    def test_a_key_that_is_in_doubt_again_is_held_back_again(self) -> None:
        journal = self.journal()
        journal.intend([A])
        journal.mark_in_doubt([A])
        self.pass_by(HOLD)
        journal.mark_in_doubt([A])

        self.pass_by(HOLD - 1)
        assert list(journal.intend([A])) == []

    def test_keys_that_a_killed_run_left_open_are_held_back_from_when_they_are_read(self) -> None:
        self.journal().intend([A, B])
        self.pass_by(HOLD)
        journal = self.journal()

        self.pass_by(HOLD - 1)
        assert list(journal.intend([A, B, C])) == [C]
        self.pass_by(1)
        assert list(journal.intend([A, B, C])) == [A, B, C]

    def test_a_confirmed_key_is_closed_for_every_run(self) -> None:
        journal = self.journal()
        journal.intend([A, B])
        journal.confirm([A])

        assert list(self.journal().intend([A, B])) == [A]

    def test_a_key_that_was_confirmed_can_be_opened_again(self) -> None:
        journal = self.journal()
        journal.intend([A])
        journal.confirm([A])
        journal.intend([A])

        assert list(self.journal().intend([A])) == []

    def test_calls_without_keys_do_nothing(self) -> None:
        journal = self.journal()
        journal.confirm([])
        journal.mark_in_doubt([])

        assert list(journal.intend([])) == []
