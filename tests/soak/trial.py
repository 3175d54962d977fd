"""Run the history of a seed through the function with random faults, and check that nothing was lost."""

import json
import random
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, cast

import boto3

from ddbreplica.dynamodb.table import CLIENT_CONFIG, DynamoDBReplica
from ddbreplica.handler import replicate
from ddbreplica.model import SUSPECT, Image, Key, Pending, Refusal, Write
from ddbreplica.model import Table as Description
from ddbreplica.records.decode import key_of
from ddbreplica.transform.view import UNTRANSFORMABLE
from tests.soak.history import History, Record, history, is_malformed, is_refused, transform
from tests.soak.service import Bucket, KilledError, Table
from tests.soak.weather import INVOCATION_FAULTS, Weather, weather
from tests.support.function import Context, Function
from tests.support.mapping import Mapping as EventSourceMapping
from tests.support.mapping import MappingSettings, NotInvokedError
from tests.support.transforms import expected, transform_of

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

Replicate = Callable[[Any, "LambdaContext", Any], Any]


class FunctionEndedError(Exception):
    """The function error that Lambda reports for an ended execution environment."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of one history.

    `lost` are records that were neither applied, superseded, nor stored in a bucket. `unequal` are the keys whose item
    differs from the transformed item of the source. `members` are those of the transform.
    """

    seed: int
    records: int
    invocations: int
    requests: int
    quarantined: int
    in_doubt: int
    discarded: int
    injected: Mapping[str, int]
    members: tuple[str, ...]
    untransformable: int
    lost: tuple[str, ...]
    unequal: tuple[Key, ...]

    @property
    def is_good(self) -> bool:
        """Return whether nothing was lost and both tables are equal."""
        return not self.lost and not self.unequal


class Wire:
    """The DynamoDB client that all trials of a process share, and the table that currently responds to it."""

    def __init__(self) -> None:
        self.table: Table | None = None
        client = boto3.client(
            "dynamodb",
            region_name="us-east-1",
            aws_access_key_id="soak",
            aws_secret_access_key="soak",
            config=CLIENT_CONFIG,
        )
        client.meta.events.register_first("before-send.dynamodb", self._answer)
        self.replica = DynamoDBReplica(client, "logfile_replica")

    def _answer(self, request: Any, **_: Any) -> Any:
        assert self.table is not None
        target = request.headers["X-Amz-Target"]
        name = target.decode() if isinstance(target, bytes) else target
        return self.table.answer(name.partition(".")[2], json.loads(request.body))


@dataclass
class _Cold:
    """The replica in a new execution environment, without the table description that another one has cached."""

    replica: DynamoDBReplica
    is_known: bool = False

    def describe(self, *, refresh: bool = False) -> Description | Refusal:
        answer = self.replica.describe(refresh=refresh or not self.is_known)
        self.is_known = self.is_known or isinstance(answer, Description)
        return answer

    def start_batch(self, writes: Any) -> Pending:
        return self.replica.start_batch(writes)

    def start_one(self, write: Write) -> Pending:
        return self.replica.start_one(write)


@dataclass
class Trial:
    """One history, its weather, and the execution environments that process it."""

    chance: Random
    wire: Wire
    replicate: Replicate = replicate
    discarded: list[Record] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Generate the history, the weather and the settings."""
        settings = _settings(self.chance)
        # The text of a key determines its lane, so each key needs exactly one text.
        self.history: History = history(self.chance, one_spelling=settings.parallelization_factor > 1)
        self.weather: Weather = weather(self.chance)
        self.ttl_deletes = self.chance.random() < 0.7
        self.document = transform(self.chance, self.history.schema)
        self.table = self.wire.table = Table(self.history.schema, self.weather)
        self.bucket = Bucket(self.weather)
        self.container = self._container()
        self.mapping = EventSourceMapping(
            [*self.history.shards], self._invoke, settings, destination=self._give_up, chance=self.chance
        )

    def run(self) -> None:
        """Deliver all records, with crashes of the pollers."""
        while self.mapping.step():
            if (
                self.weather.strikes(INVOCATION_FAULTS)
                == "mapping: poller crashed, batches are delivered again"
            ):
                self.mapping.crash(lambda done: self.chance.randint(0, done))

    def verdict(self, seed: int) -> Verdict:
        """Compare the tables and buckets with their expected state."""
        kept = self.bucket.kept
        quarantined = [one["record"] for one in kept if one["error_code"] != SUSPECT]
        gone = _numbers(quarantined) | _numbers(self.discarded)
        return Verdict(
            seed=seed,
            records=len(self.history.records),
            invocations=self.mapping.invocations,
            requests=self.table.requests,
            quarantined=len(quarantined),
            in_doubt=len(kept) - len(quarantined),
            discarded=len(self.discarded),
            injected=dict(self.weather.injected),
            members=tuple(self.document),
            untransformable=sum(one["error_code"] == UNTRANSFORMABLE for one in kept),
            lost=tuple(self._lost(gone, [*quarantined, *self.discarded])),
            unequal=tuple(sorted(self._unequal(_numbers(quarantined)))),
        )

    def _invoke(self, event: Any, request_id: str) -> Any:
        fault = self.weather.strikes(INVOCATION_FAULTS)
        if fault == "invocation: throttled before it runs":
            raise NotInvokedError
        if fault == "invocation: in a new execution environment":
            self.container = self._container()
        context = Context(request_id, seconds_left=self.weather.seconds())
        self.table.context = self.bucket.context = context
        try:
            answer = self.replicate(event, cast("LambdaContext", context), self.container.replicator)
        except KilledError as killed:
            self.container = self._container()
            raise FunctionEndedError from killed
        if fault == "invocation: killed before its response":
            self.container = self._container()
            raise FunctionEndedError
        return json.loads(json.dumps(answer))  # as Lambda's runtime passes it

    def _container(self) -> Function[_Cold]:
        return Function(
            _Cold(self.wire.replica),
            self.bucket,
            replicate_ttl_deletes=self.ttl_deletes,
            transform=transform_of(self.document),
        )

    def _expected(self, image: Image) -> Image | None:
        return expected(self.document, image, self.history.schema)

    def _is_poison(self, record: Record) -> bool:
        """Return whether no image of this record can be written, whatever comes after it."""
        image = record["dynamodb"].get("NewImage")
        return is_malformed(record) or (image is not None and self._expected(image) is None)

    def _is_refused(self, record: Record) -> bool:
        image = record["dynamodb"].get("NewImage")
        return image is not None and is_refused(self._expected(image) or {})

    def _give_up(self, _key: str, body: str) -> None:
        self.discarded += json.loads(json.loads(body)["payload"])["Records"]

    def _lost(self, gone: Collection[str], kept: Collection[Record]) -> Iterator[str]:
        """Yield the records that are neither in the table, nor superseded, nor stored unchanged in a bucket."""
        whole = {json.dumps(record, sort_keys=True) for record in kept}
        replaced: set[Key] = set()
        for record in reversed(self.history.records):
            number, key = record["dynamodb"]["SequenceNumber"], key_of(record["dynamodb"]["Keys"])
            if number in gone:
                if json.dumps(record, sort_keys=True) not in whole:
                    yield number
            elif not self.history.is_skipped(record, ttl_deletes=self.ttl_deletes):
                if self._is_poison(record) or (self._is_refused(record) and key not in replaced):
                    yield number
                replaced.add(key)

    def _unequal(self, quarantined: Collection[str]) -> Iterator[Key]:
        """Yield the keys whose item is not the source's transformed one, except those of discarded batches."""
        source = self.history.state(without=quarantined, ttl_deletes=self.ttl_deletes)
        open_keys = {key_of(record["dynamodb"]["Keys"]) for record in self.discarded}
        for key in (source.keys() | self.table.items.keys()) - open_keys:
            if self.table.items.get(key) != (self._expected(source[key]) if key in source else None):
                yield key


def try_seed(seed: int, wire: Wire, *, replicate: Replicate = replicate) -> Verdict:
    """Run one trial. The seed determines all of it."""
    random.seed(seed)  # the function's random backoffs
    trial = Trial(Random(seed), wire, replicate)  # noqa: S311
    trial.run()
    return trial.verdict(seed)


def _settings(chance: Random) -> MappingSettings:
    """Return settings like the template's. In one of eight, Lambda discards a batch after a few attempts."""
    return MappingSettings(
        batch_size=chance.choice((1, 25, 100, 100)),
        maximum_batching_window_in_seconds=chance.choice((0, 2)),
        parallelization_factor=chance.choice((1, 1, 3)),
        bisect_batch_on_function_error=chance.random() < 0.8,
        maximum_retry_attempts=chance.randint(0, 3) if chance.random() < 1 / 8 else -1,
    )


def _numbers(records: Collection[Record]) -> frozenset[str]:
    return frozenset(record["dynamodb"]["SequenceNumber"] for record in records)
