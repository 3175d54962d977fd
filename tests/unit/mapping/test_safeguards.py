"""safeguards: refuse a backfill during which a change could be missed, and warn of one that takes too long."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ddbreplica.errors import TaskError
from ddbreplica.mapping.event_source_mapping import MappingState
from ddbreplica.mapping.safeguards import refuse_unsafe, warning

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
STREAM = "arn:aws:dynamodb:us-east-1:123456789012:table/logfile/stream/2026-11-20T00:00:00.000"
MAPPING = MappingState(
    uuid="u-1",
    stream_arn=STREAM,
    state="Enabled",
    state_reason="",
    last_result="OK",
    starting_position="TRIM_HORIZON",
    modified_at=NOW - timedelta(minutes=1),
    on_failure=None,
    patterns=(),
    counts_events=True,
    function_arn="arn:function",
    function_name="function",
    log_group="/aws/lambda/function",
    settings={},
    environment={},
)


def why(
    mapping: MappingState | None = MAPPING, stream: str | None = STREAM, exported_at: datetime | None = None
) -> str:
    with pytest.raises(TaskError) as refused:
        refuse_unsafe(mapping, stream=stream, exported_at=exported_at, now=NOW)
    return refused.value.fact


@pytest.mark.parametrize("exported_at", [None, NOW])
def test_an_enabled_mapping_that_starts_at_trim_horizon_is_accepted(exported_at: datetime | None) -> None:
    assert refuse_unsafe(MAPPING, stream=STREAM, exported_at=exported_at, now=NOW) == MAPPING


@pytest.mark.hazard(number=12)
def test_a_source_without_a_stream() -> None:
    assert why(None, stream=None) == "the source has no enabled stream; later changes would be missed."


def test_a_stream_that_nothing_reads() -> None:
    assert why(None) == (
        "no event source mapping of a function with the tag ddbreplica replicates the source to the replica; later"
        " changes would be missed."
    )


@pytest.mark.hazard(number=12)
@pytest.mark.parametrize("state", ["Disabled", "Disabling", "Enabling", "Creating", "Deleting"])
def test_a_mapping_that_is_not_enabled(state: str) -> None:
    assert why(replace(MAPPING, state=state)) == (
        f"the mapping u-1 is {state}; later changes would be missed."
    )


def test_a_new_mapping_that_starts_at_latest() -> None:
    latest = replace(MAPPING, starting_position="LATEST")

    assert why(latest) == (
        "the mapping u-1 starts at LATEST and was created or updated at 2026-11-22 11:59:00 UTC;"
        " it may still miss changes."
    )
    settled = replace(latest, modified_at=NOW - timedelta(minutes=10))
    assert refuse_unsafe(settled, stream=STREAM, exported_at=None, now=NOW) == settled


@pytest.mark.hazard(number=12)
@pytest.mark.parametrize(
    ("position", "needed"), [("TRIM_HORIZON", timedelta()), ("LATEST", timedelta(minutes=10))]
)
def test_an_export_from_before_the_mapping_saw_every_change(position: str, needed: timedelta) -> None:
    mapping = replace(MAPPING, starting_position=position, modified_at=NOW - timedelta(minutes=20))
    late_enough = mapping.modified_at + needed + timedelta(minutes=1)

    with pytest.raises(TaskError) as refused:
        refuse_unsafe(mapping, stream=STREAM, exported_at=late_enough - timedelta(seconds=1), now=NOW)

    before = f"{late_enough - timedelta(seconds=1):%H:%M:%S} UTC"
    least = f"{late_enough:%H:%M:%S} UTC"
    assert refused.value.fact == (
        f"the newest export is of 2026-11-22 {before}; it must be of 2026-11-22 {least} or later, since the mapping was"
        " created or updated at 2026-11-22 11:40:00 UTC and may have missed changes."
    )
    assert refused.value.hint == (
        f"add --from-export with an incremental export from 2026-11-22 {before} or earlier to 2026-11-22 {least} or"
        " later; or export the table again."
    )
    assert refuse_unsafe(mapping, stream=STREAM, exported_at=late_enough, now=NOW) == mapping


@pytest.mark.parametrize(
    ("lag", "seconds"), [(None, None), (0, 0), (60, None), (None, 69_000), (3600, 65_000), (69_119, 0)]
)
def test_there_is_no_warning_while_the_stream_keeps_changes_long_enough(
    lag: float | None, seconds: float | None
) -> None:
    assert warning(lag=lag, seconds=seconds) is None


@pytest.mark.parametrize(
    ("lag", "seconds", "expected"),
    [
        (69_121, None, "Warning: the replica's lag is 19:12:01, and the backfill takes about 0:00:00"),
        (None, 90_000, "Warning: the replica's lag is 0:00:00, and the backfill takes about 1 day, 1:00:00"),
        (36_000, 36_000, "Warning: the replica's lag is 10:00:00, and the backfill takes about 10:00:00"),
    ],
)
def test_lag_and_duration_of_nearly_a_day_are_warned_of(
    lag: float | None, seconds: float | None, expected: str
) -> None:
    assert (warning(lag=lag, seconds=seconds) or "").startswith(expected)
