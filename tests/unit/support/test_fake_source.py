"""The fake source and the fake journal pass the tests of their contracts, as the real ones do."""

import pytest

from ddbreplica.model import Image, Journal, Refusal, RefusalKind, Source
from tests.support.contract import SCHEMA
from tests.support.fake_journal import FakeJournal
from tests.support.fake_source import FakeSource
from tests.support.journal_contract import JournalContract
from tests.support.source_contract import SourceContract

MISSING = Refusal(RefusalKind.FAULT, "ResourceNotFoundException", "no such table")


class TestFakeSource(SourceContract):
    @pytest.fixture
    def source(self) -> Source:
        self.fake = FakeSource(key_names=sorted(SCHEMA))
        return self.fake

    def put(self, item: Image) -> None:
        self.fake.put(item)

    def missing(self) -> Source:
        return FakeSource(script=lambda _: MISSING)


class TestFakeJournal(JournalContract):
    now = 0.0
    last: FakeJournal | None = None

    def journal(self) -> Journal:
        self.last = FakeJournal(lambda: self.now, self.last.opened if self.last else ())
        return self.last

    def pass_by(self, seconds: float) -> None:
        self.now += seconds
