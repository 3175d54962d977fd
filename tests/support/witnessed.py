"""A source whose stream a StreamWitness reads, with a clock that only sleeps and a test advance."""

from collections.abc import Callable
from email.utils import formatdate
from typing import Any

from ddbreplica.aws.clock import Clock
from ddbreplica.driver import Interrupt
from ddbreplica.dynamodb.connection import Side
from ddbreplica.dynamodb.describe import Described
from ddbreplica.model import Key, Table
from ddbreplica.verify.confirm.stream_witness import StreamWitness
from ddbreplica.verify.confirm.witness import Witness
from tests.support.fake_streams import ARN, TABLE_ARN, FakeStreams

MIDNIGHT = 1_795_910_400.0
"""AWS's time when the fake's clock shows 0."""


def key(number: int) -> Key:
    return (("PK", "S", f"k{number}"),)


def keys(*numbers: int) -> frozenset[Key]:
    return frozenset(map(key, numbers))


class World(Interrupt):
    """A source with a stream, whose clock advances when the witness sleeps. `at` plans what happens when."""

    def __init__(self) -> None:
        super().__init__()
        self.service = FakeStreams()
        self.service.shards = {"a": [1, 2, 3]}
        self.stream: str | None = ARN
        self.latest: str | None = ARN
        self.plans: list[tuple[float, Callable[[], None]]] = []
        self.slept: list[float] = []
        self.clock = Clock(ticks=lambda: self.service.now)
        self.clock.observe(formatdate(MIDNIGHT), sent_at=MIDNIGHT)
        self.witness: Witness = StreamWitness(
            self.service.client, self.described, clock=self.clock, interrupt=self
        )

    def described(self) -> Described:
        side = Side("logfile", "--source", None, None)  # type: ignore[arg-type]
        description: dict[str, Any] = {
            "TableName": "logfile",
            "StreamSpecification": {"StreamEnabled": self.stream is not None},
        }
        description |= {"LatestStreamArn": self.latest} if self.latest else {}
        return Described(side, Table(TABLE_ARN, "ACTIVE", frozenset({("PK", "S")})), description)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.pass_time(seconds)

    def pass_time(self, seconds: float) -> None:
        self.service.now += seconds
        due = [plan for when, plan in self.plans if when <= self.service.now]
        self.plans = [(when, plan) for when, plan in self.plans if when > self.service.now]
        for plan in due:
            plan()

    def at(self, seconds: float, plan: Callable[[], None]) -> None:
        self.plans.append((self.service.now + seconds, plan))

    def write(self, shard: str, number: int, *, created: float | None = None) -> None:
        self.service.shards[shard].append(number)
        self.service.created[number] = int(MIDNIGHT + self.service.now) if created is None else created
