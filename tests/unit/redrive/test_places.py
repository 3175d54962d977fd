"""places: the buckets of records that were not applied, and how their objects are read."""

from collections.abc import Sequence
from typing import Any

import pytest

from ddbreplica.bucket.object_format import ForeignError
from ddbreplica.errors import TaskError
from ddbreplica.mapping.event_source_mapping import MappingState
from ddbreplica.mapping.key_filter import EVERY_KEY, KeyFilter
from ddbreplica.redrive.objects import BucketPrefix
from ddbreplica.redrive.places import Buckets
from tests.support.fake_s3 import NAME, NOW
from tests.support.on_failure import FUNCTION_ARN
from tests.support.recording import Recording
from tests.support.redriven import World, described, key, mapping

ONLY_B = KeyFilter.of(['{"dynamodb": {"Keys": {"PK": {"S": ["b"]}}}}'])


class TestBuckets:
    def of(
        self, of: MappingState | None, *, quarantine: str | None = None, on_failure: str | None = None
    ) -> tuple[Buckets, Sequence[str]]:
        recording = Recording()
        buckets = Buckets.of(of, quarantine=quarantine, on_failure=on_failure, note=recording.driver.note)
        return buckets, recording.notes

    def test_buckets_of_the_mapping(self) -> None:
        of = mapping(on_failure="arn:aws-cn:s3:::other")

        assert self.of(of) == (Buckets(NAME, "other", FUNCTION_ARN), [])

    def test_buckets_of_the_options(self) -> None:
        assert self.of(mapping(), quarantine="q", on_failure="f") == (Buckets("q", "f", None), [])
        assert self.of(mapping(), quarantine="q") == (Buckets("q", NAME, FUNCTION_ARN), [])

    def test_without_a_mapping(self) -> None:
        assert self.of(None, quarantine="q", on_failure="f") == (Buckets("q", "f", None), [])
        assert self.of(None, quarantine="q") == (
            Buckets("q", None, None),
            ["Note: discarded batches are not processed; to include them, add --on-failure-bucket."],
        )

    @pytest.mark.parametrize(
        ("on_failure", "destination"),
        [(None, "is not set"), ("arn:aws:sqs:eu:1:q", "is arn:aws:sqs:eu:1:q, which is not a bucket")],
    )
    def test_a_destination_that_is_not_a_bucket(self, on_failure: str | None, destination: str) -> None:
        assert self.of(mapping(on_failure=on_failure)) == (
            Buckets(NAME, None, FUNCTION_ARN),
            [
                (
                    f"Note: the mapping's on-failure destination {destination}: discarded batches are not"
                    " processed."
                )
            ],
        )

    def test_no_quarantine_without_a_mapping(self) -> None:
        with pytest.raises(TaskError) as refused:
            self.of(None)

        assert (
            refused.value.fact == "no event source mapping can be read, so the quarantine bucket is unknown."
        )
        assert refused.value.hint == "name the bucket with --quarantine-bucket."

    @pytest.mark.parametrize("environment", [{}, {"QUARANTINE_BUCKET": ""}])
    def test_a_function_without_a_quarantine_bucket(self, environment: Any) -> None:
        with pytest.raises(TaskError) as refused:
            self.of(mapping(environment=environment))

        assert refused.value.fact == (
            "the function ddbreplica has no environment variable QUARANTINE_BUCKET."
        )
        assert refused.value.hint == (
            "name the bucket with --quarantine-bucket, and fix the function's settings."
        )


class TestPlaces:
    def places(
        self, world: World, buckets: Buckets, key_filter: KeyFilter = EVERY_KEY
    ) -> Sequence[BucketPrefix]:
        source, _ = world.tables
        return tuple(buckets.places(world.connection, source, key_filter))

    def test_the_prefix_of_the_replica_and_the_prefix_of_lambda(self) -> None:
        kept, lambdas = self.places(World(), Buckets(NAME, "other", None))

        assert (kept.bucket.name, kept.prefix) == (NAME, "quarantine/copy/")
        assert (lambdas.bucket.name, lambdas.prefix) == ("other", "aws/lambda/")

    def test_the_quarantine_alone(self) -> None:
        (kept,) = self.places(World(), Buckets(NAME, None, None))

        assert kept.bucket.name == NAME

    @pytest.mark.parametrize(("place", "option"), [(0, "--quarantine-bucket"), (1, "--on-failure-bucket")])
    def test_a_missing_bucket_is_reported_with_its_option(self, place: int, option: str) -> None:
        world = World()
        world.s3.refuse("list", "NoSuchBucket")

        with pytest.raises(TaskError) as refused:
            list(self.places(world, Buckets(NAME, NAME, None))[place].bucket.list(""))

        assert refused.value.hint.startswith(f"check {option}, ")

    def test_each_is_read_in_its_format(self) -> None:
        world = World()
        names = world.quarantine("a"), world.discard("b", "c")

        for place, name, keys in zip(
            self.places(world, Buckets(NAME, NAME, None)), names, [("a",), ("b", "c")], strict=True
        ):
            (listed,) = place.bucket.list(place.prefix)
            assert listed.name == name
            assert self.unpacked(world, place, name).keys == tuple(map(key, keys))

    def test_keys_that_are_excluded_by_the_filter(self) -> None:
        world = World()
        names = world.quarantine("a"), world.discard("a", "b")
        places = self.places(world, Buckets(NAME, NAME, None), ONLY_B)

        kept, lambdas = (self.unpacked(world, place, name) for place, name in zip(places, names, strict=True))

        assert (kept.keys, kept.outside) == ((), (key("a"),))
        assert (lambdas.keys, lambdas.outside) == ((key("b"),), (key("a"),))

    def test_records_of_an_earlier_table(self) -> None:
        world = World()
        names = world.quarantine("a"), world.discard("a")
        world.tables = described("logfile", created=NOW), described("copy")

        for place, name in zip(self.places(world, Buckets(NAME, NAME, None)), names, strict=True):
            unpacked = self.unpacked(world, place, name)
            assert (unpacked.keys, unpacked.earlier) == ((), (key("a"),))

    def test_records_of_another_table(self) -> None:
        world = World()
        names = world.quarantine("a"), world.discard("a")
        world.tables = described("other"), described("copy")

        for place, name in zip(self.places(world, Buckets(NAME, NAME, None)), names, strict=True):
            with pytest.raises(ForeignError, match="contains records of"):
                self.unpacked(world, place, name)

    @pytest.mark.parametrize(
        ("function", "is_foreign"), [(None, False), (FUNCTION_ARN, False), (FUNCTION_ARN + "2", True)]
    )
    def test_batches_of_another_function(self, function: str | None, is_foreign: bool) -> None:
        world = World()
        name = world.discard("a")
        _, lambdas = self.places(world, Buckets(NAME, NAME, function))

        if is_foreign:
            with pytest.raises(ForeignError, match="was sent to the function"):
                self.unpacked(world, lambdas, name)
        else:
            assert self.unpacked(world, lambdas, name).keys == (key("a"),)

    def unpacked(self, world: World, place: BucketPrefix, name: str) -> Any:
        stored = world.s3.present(name)
        assert stored is not None
        assert stored.body is not None
        return place.unpack(stored.body, stored.at)
