"""The fake replica passes the tests of the contract, as the real ones do."""

import pytest

from ddbreplica.model import Image, Refusal, RefusalKind, Replica
from tests.support.contract import SCHEMA, ReplicaContract
from tests.support.fake_replica import FakeReplica

MISSING = Refusal(RefusalKind.FAULT, "ResourceNotFoundException", "no such table")


class TestFakeReplica(ReplicaContract):
    @pytest.fixture
    def replica(self) -> Replica:
        self.fake = FakeReplica(key_schema=SCHEMA, poison=lambda item: len(str(item)) > 400 * 1024)
        return self.fake

    def items(self) -> list[Image]:
        return list(self.fake.items.values())

    def missing(self) -> Replica:
        return FakeReplica(table=MISSING, script=lambda _: MISSING)
