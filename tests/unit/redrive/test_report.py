"""report: the result of a redrive, with the objects that stay."""

from dataclasses import replace
from datetime import UTC, datetime

from ddbreplica.bucket.bucket import Bucket, Listed
from ddbreplica.bucket.object_format import quarantined
from ddbreplica.redrive.objects import BucketPrefix, FoundObject, ObjectOutcome, Redriven, RemainingObject
from ddbreplica.redrive.report import document, text
from tests.support.fake_bucket import FakeBucket


def left(outcome: ObjectOutcome, reason: str, *keys: str) -> RemainingObject:
    bucket = Bucket(FakeBucket().connect(), "bucket", option="--bucket")
    now = datetime.now(UTC)
    place = BucketPrefix(bucket, "quarantine/", quarantined("arn", created_at=now))
    found = FoundObject(place, Listed("quarantine/a.json", 1, 0.0, now))
    return RemainingObject(outcome, found, reason, tuple((("PK", "S", key),) for key in keys))


def test_nothing_at_all() -> None:
    assert text(Redriven()).split("\n") == ["objects                 0", "keys repaired           0"]


def test_one_key_is_shown_of_many() -> None:
    redriven = Redriven()
    redriven.stays(left(ObjectOutcome.UNWRITABLE, "Refused: a\nlong\tstory", "a\n", "b", "c"))

    assert text(redriven).split("\n") == [
        "objects                 1",
        "unwritable              1",
        "keys repaired           0",
        "",
        "unwritable   s3://bucket/quarantine/a.json",
        '             PK={"S": "a\\n"} and 2 more',
        "             Refused: a long story",
    ]


def test_the_count_of_other_keys_includes_those_that_are_not_listed() -> None:
    redriven = Redriven()
    redriven.stays(left(ObjectOutcome.WAITING, "why", *map(str, range(12))))

    assert text(redriven).split("\n")[5] == '             PK={"S": "0"} and 11 more'


def test_a_forged_object_cannot_control_a_terminal() -> None:
    redriven = Redriven()
    redriven.stays(replace(left(ObjectOutcome.UNWRITABLE, "why"), keys=((("PK\x9b", "S", "\u202e"),),)))

    assert text(redriven).split("\n")[5] == '             PK\\u009b={"S": "\\u202e"}'


def test_the_document_has_every_outcome_and_the_first_keys() -> None:
    redriven = Redriven()
    redriven.stays(left(ObjectOutcome.WAITING, "why", *map(str, range(12))))

    shown = document(redriven)

    assert {outcome.value for outcome in ObjectOutcome} <= shown.keys()
    assert shown["left"][0]["keys"][9:] == [{"PK": {"S": "9"}}]
    assert shown["left"][0]["more_keys"] == 2


def busy() -> Redriven:
    """A result with every outcome."""
    redriven = Redriven(keys=1234, resumed=5, in_doubt=6)
    redriven.counts[ObjectOutcome.RECONCILED] = 1000
    redriven.stays(left(ObjectOutcome.UNWRITABLE, "why", "a"))
    redriven.left.count += 2
    redriven.open[(("PK", "S", "b"),)] = (ObjectOutcome.UNDECIDED, "not\nknown")
    return redriven


def test_a_document_has_everything() -> None:
    assert document(busy()) == {
        "objects": 1001,
        **dict.fromkeys([outcome.value for outcome in ObjectOutcome], 0),
        "healed": 1000,
        "unwritable": 1,
        "keys_healed": 1234,
        "keys_resumed": 5,
        "keys_in_doubt": 6,
        "left": [
            {
                "outcome": "unwritable",
                "object": "s3://bucket/quarantine/a.json",
                "reason": "why",
                "keys": [{"PK": {"S": "a"}}],
                "more_keys": 0,
            }
        ],
        "more_left": 2,
        "left_keys": [{"outcome": "undecided", "key": {"PK": {"S": "b"}}, "reason": "not\nknown"}],
    }


def test_a_text_has_everything() -> None:
    assert text(busy()).split("\n") == [
        "objects             1,001",
        "repaired            1,000",
        "unwritable              1",
        "keys repaired       1,234",
        "keys resumed            5",
        "in doubt                6",
        "not listed              2",
        "",
        "unwritable   s3://bucket/quarantine/a.json",
        '             PK={"S": "a"}',
        "             why",
        "",
        'undecided    PK={"S": "b"}',
        "             not known",
    ]
