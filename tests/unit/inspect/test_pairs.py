"""pairs: the tables that a function replicates, and the options that name them."""

from dataclasses import replace

import pytest

from ddbreplica.aws.request import Unknown
from ddbreplica.dynamodb.location import Location
from ddbreplica.inspect.pairs import Pair, ReplicatorFunction, display_name, pair_up
from ddbreplica.mapping.event_source_mapping import MappingState
from tests.support.facts import EARLIER_STREAM, MAPPING, STREAM, TABLE

SHARED = Location(None, None, None, "us-east-1", None, "near", "far", None)
FUNCTION = MAPPING.function_arn
FAR = "arn:aws:dynamodb:eu-west-1:210987654321:table/copy"


def mapping(**environment: str) -> MappingState:
    return replace(MAPPING, environment=environment)


def paired(*mappings: MappingState) -> list[tuple[str, str, int]]:
    pairs = pair_up([ReplicatorFunction(FUNCTION, "x", mappings)])
    return [(pair.source, pair.replica, len(pair.mappings)) for pair in pairs]


@pytest.mark.parametrize(
    ("environment", "replica"),
    [
        pytest.param({"REPLICA_TABLE_NAME": "copy"}, f"{TABLE}copy", id="by name"),
        pytest.param(
            {"REPLICA_TABLE_NAME": "copy", "REPLICA_REGION": "eu-west-1"},
            "arn:aws:dynamodb:eu-west-1:123456789012:table/copy",
            id="in another Region",
        ),
        pytest.param({"REPLICA_TABLE_NAME": FAR}, FAR, id="by ARN"),
        pytest.param(
            {"REPLICA_TABLE_NAME": "copy", "REPLICA_ROLE_ARN": "arn:aws:iam::210987654321:role/writer"},
            "arn:aws:dynamodb:us-east-1:210987654321:table/copy",
            id="by a role of another account",
        ),
        pytest.param({"REPLICA_TABLE_NAME": "arn:x"}, f"{TABLE}arn:x", id="by a malformed ARN"),
    ],
)
def test_the_replica_is_the_table_that_the_function_writes_to(
    environment: dict[str, str], replica: str
) -> None:
    assert paired(mapping(**environment)) == [(f"{TABLE}logfile", replica, 1)]


def test_a_function_may_have_an_alias() -> None:
    assert paired(replace(MAPPING, function_arn=f"{FUNCTION}:live"))[0][1] == f"{TABLE}logfile_replica"


def test_mappings_of_one_pair_are_grouped_over_streams_and_functions() -> None:
    earlier = replace(MAPPING, stream_arn=EARLIER_STREAM)
    other = replace(MAPPING, stream_arn=STREAM.replace("logfile", "orders"))

    assert paired(MAPPING, other, earlier) == [
        (f"{TABLE}logfile", f"{TABLE}logfile_replica", 2),
        (f"{TABLE}orders", f"{TABLE}logfile_replica", 1),
    ]
    twice = [ReplicatorFunction(f"{FUNCTION}{number}", "x", (MAPPING,)) for number in (1, 2)]
    assert [pair.mappings for pair in pair_up(twice)] == [(MAPPING, MAPPING)]


def test_unreadable_mappings_and_mappings_without_a_replica_have_no_pair() -> None:
    assert paired(mapping(), mapping(REPLICA_TABLE_NAME="")) == []
    assert (
        pair_up([ReplicatorFunction(FUNCTION, "x", Unknown("no")), ReplicatorFunction(FUNCTION, "x", ())])
        == []
    )


@pytest.mark.parametrize(
    ("replica", "options"),
    [
        pytest.param(
            f"{TABLE}copy",
            " --source logfile --replica copy --region us-east-1 --profile near",
            id="beside the source",
        ),
        pytest.param(
            "arn:aws:dynamodb:eu-west-1:123456789012:table/copy",
            " --source logfile --replica copy --replica-region eu-west-1 --region us-east-1 --profile near",
            id="in another Region",
        ),
        pytest.param(
            FAR,
            f" --source logfile --replica {FAR} --replica-profile far --region us-east-1 --profile near",
            id="in another account",
        ),
    ],
)
def test_the_options_that_name_a_pair(replica: str, options: str) -> None:
    assert Pair(f"{TABLE}logfile", replica, (MAPPING,)).options(SHARED).tables == options


def test_a_source_in_another_account_is_given_by_its_arn() -> None:
    assert Pair(FAR, f"{TABLE}copy", (MAPPING,)).options(SHARED).source == FAR


@pytest.mark.parametrize(
    ("table", "shown"),
    [
        (f"{TABLE}copy", "copy"),
        ("copy", "copy"),
        ("arn:aws:dynamodb:eu-west-1:123456789012:table/copy", "copy in eu-west-1"),
        (FAR, "copy in eu-west-1 of 210987654321"),
        ("arn:aws:dynamodb:us-east-1:210987654321:table/copy", "copy of 210987654321"),
    ],
)
def test_the_display_name_contains_another_region_and_account(table: str, shown: str) -> None:
    assert display_name(table, beside=FUNCTION) == shown
