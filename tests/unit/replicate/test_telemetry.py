"""telemetry: each invocation writes one log line and one set of metrics."""

import errno
import io
import json
import logging
import runpy
import subprocess
import sys
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from aws_lambda_powertools.shared.functions import strtobool
from hypothesis import given
from hypothesis import strategies as st

from ddbreplica.bucket.quarantine import QuarantineResult
from ddbreplica.dynamodb.send import REQUEST_SECONDS
from ddbreplica.errors import QuarantineError, ReplicaError, SettingsError
from ddbreplica.records.decode import decode
from ddbreplica.replicate import telemetry
from ddbreplica.replicate.redact import MAX_LENGTH
from ddbreplica.replicate.telemetry import MAX_CODES, Telemetry
from ddbreplica.replicate.write import Outcome
from ddbreplica.settings import Settings
from tests.support.echoes import ECHOES
from tests.support.fake_bucket import FakeBucket, s3_error
from tests.support.fake_replica import DENIED, THROTTLED, TIMED_OUT, FakeReplica, in_turn
from tests.support.function import Context, Function
from tests.support.records import batch, delete, put, ttl_delete

BAD = {"N": "5"}
EVENT = batch(
    put(1, "a"),
    put(2, "a", v={"S": "top secret"}),
    put(3, "b", v=BAD),
    delete(4, "c"),
    ttl_delete(5, "d"),
    put(6, "e", v={"X": "top secret"}),
)


def lines(
    function: Function[FakeReplica],
    event: Any,
    capsys: pytest.CaptureFixture[str],
    *,
    seconds_left: float = 60.0,
) -> tuple[dict[str, Any], dict[str, Any]]:
    function.invoke(event, Context("request-7", seconds_left))
    log, metrics = capsys.readouterr().out.splitlines()
    return json.loads(log), json.loads(metrics)


def troubled() -> Function[FakeReplica]:
    replica = FakeReplica(poison=lambda item: item.get("v") == BAD, script=in_turn(THROTTLED))
    return Function(replica, replicate_ttl_deletes=False)


def test_a_batch_is_one_line_in_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    log, _ = lines(Function(FakeReplica()), batch(put(1, "a"), delete(2, "b")), capsys)

    assert log["lag_seconds"] > 0
    assert {name: log[name] for name in log if name not in ("timestamp", "location", "lag_seconds")} == {
        "level": "INFO",
        "message": "batch applied",
        "service": "ddbreplica",
        "function_request_id": "request-7",
        "replica_table": "logfile_replica",
        "refusals": {},
        "refusal_messages": {},
        "RecordsReceived": 2,
        "RecordsCoalesced": 0,
        "WritesApplied": 1,
        "DeletesApplied": 1,
        "WritesRetried": 0,
        "WritesFailed": 0,
        "WritesSuspect": 0,
        "InDoubtLost": 0,
        "RecordsQuarantined": 0,
        "TtlDeletesSkipped": 0,
    }


def test_errors_are_counted_and_logged_as_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    log, _ = lines(troubled(), EVENT, capsys)

    assert log["level"] == "WARNING"
    assert log["refusals"] == {"MalformedRecord": 1, "ValidationException": 1}
    counts = ("RecordsReceived", "RecordsCoalesced", "WritesApplied", "DeletesApplied", "WritesRetried")
    assert [log[name] for name in counts] == [6, 1, 1, 1, 3]
    assert (log["RecordsQuarantined"], log["TtlDeletesSkipped"]) == (2, 1)


def test_the_log_line_has_the_reported_record(capsys: pytest.CaptureFixture[str]) -> None:
    function = Function(FakeReplica(script=lambda _: THROTTLED))
    # There is time for one attempt only.
    function.invoke(batch(put(1, "a"), put(2, "b")), Context(seconds_left=REQUEST_SECONDS))

    log = json.loads(capsys.readouterr().out.splitlines()[0])
    assert (log["message"], log["reported_sequence_number"]) == ("batch applied up to a failure", "1")
    assert (log["WritesFailed"], log["refusals"]) == (2, {"ThrottlingException": 2})
    assert "lag_seconds" not in log


def test_metrics_have_the_replica_the_function_and_the_service_as_dimensions(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, metrics = lines(Function(FakeReplica()), batch(put(1, "a"), delete(2, "b")), capsys)

    (directive,) = metrics["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "ddbreplica"
    assert [sorted(dimensions) for dimensions in directive["Dimensions"]] == [
        ["FunctionName", "ReplicaTable", "service"]
    ]
    assert (metrics["ReplicaTable"], metrics["FunctionName"]) == ("logfile_replica", "replicator")
    assert metrics["service"] == "ddbreplica"
    assert {metric["Name"]: metric["Unit"] for metric in directive["Metrics"]} == {
        "RecordsReceived": "Count",
        "RecordsCoalesced": "Count",
        "WritesApplied": "Count",
        "DeletesApplied": "Count",
        "WritesRetried": "Count",
        "WritesFailed": "Count",
        "WritesSuspect": "Count",
        "InDoubtLost": "Count",
        "RecordsQuarantined": "Count",
        "TtlDeletesSkipped": "Count",
        "ReplicationLag": "Milliseconds",
    }
    assert metrics["RecordsReceived"] == [2]


def test_the_lag_is_the_age_of_the_oldest_record_in_milliseconds(capsys: pytest.CaptureFixture[str]) -> None:
    log, metrics = lines(Function(FakeReplica()), batch(put(1, "a")), capsys)

    assert metrics["ReplicationLag"] == [pytest.approx(log["lag_seconds"] * 1000)]


def test_a_source_with_a_clock_ahead_has_no_negative_lag(capsys: pytest.CaptureFixture[str]) -> None:
    one = put(1, "a")
    one["dynamodb"]["ApproximateCreationDateTime"] = 9e9

    log, _ = lines(Function(FakeReplica()), batch(one), capsys)

    assert log["lag_seconds"] == 0


def test_no_items_content_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    troubled().invoke(EVENT)

    captured = capsys.readouterr()
    assert "secret" not in captured.out + captured.err


def lost(capsys: pytest.CaptureFixture[str]) -> list[int]:
    """Return each value of InDoubtLost that was emitted."""
    emitted = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    return [value for line in emitted for value in line.get("InDoubtLost", ())]


@pytest.mark.parametrize(
    ("answers", "count"),
    [
        ((), 0),
        ((s3_error("SlowDown"),) * 9, 2),
        ((None, *(s3_error("SlowDown"),) * 9), 1),
    ],
    ids=["kept", "none kept", "one kept"],
)
def test_in_doubt_writes_whose_records_are_not_kept_are_counted(
    answers: tuple[Any, ...], count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    replica = FakeReplica(script=in_turn(TIMED_OUT))

    Function(replica, FakeBucket(*answers)).invoke(batch(put(1, "a"), put(2, "b")))

    assert lost(capsys) == [count]


@pytest.mark.parametrize(
    ("answers", "count"),
    [((s3_error("NoSuchBucket"),), [2]), ((None, s3_error("NoSuchBucket")), [1])],
)
def test_they_are_counted_if_the_bucket_is_gone(
    answers: tuple[Any, ...], count: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    replica = FakeReplica(script=in_turn(TIMED_OUT))

    with pytest.raises(QuarantineError):
        Function(replica, FakeBucket(*answers)).invoke(batch(put(1, "a"), put(2, "b")))

    assert lost(capsys) == count


@pytest.mark.parametrize(("answers", "count"), [((), []), ((s3_error("SlowDown"),) * 9, [1])])
def test_they_are_counted_if_the_replica_is_gone(
    answers: tuple[Any, ...], count: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    replica = FakeReplica(script=in_turn(TIMED_OUT, DENIED))

    with pytest.raises(ReplicaError):
        Function(replica, FakeBucket(*answers)).invoke(batch(put(1, "a")))

    assert lost(capsys) == count


def test_poison_that_is_not_kept_is_not_lost(capsys: pytest.CaptureFixture[str]) -> None:
    """AWS Lambda delivers it again."""
    with pytest.raises(QuarantineError):
        Function(FakeReplica(), FakeBucket(s3_error("NoSuchBucket"))).invoke(batch(put(1, "a", v={"X": "?"})))

    assert lost(capsys) == []


WORDS = (
    "One or more parameter values were invalid: Type mismatch for Index Key GSI_1_PK Expected: S Actual: N"
)


def test_a_refusal_is_logged_with_the_message_of_aws(capsys: pytest.CaptureFixture[str]) -> None:
    replica = FakeReplica(poison=lambda item: item.get("v") == BAD, words=lambda _: WORDS)

    log, _ = lines(Function(replica), batch(put(1, "a", v=BAD), put(2, "b")), capsys)

    assert log["refusals"] == {"ValidationException": 1}
    assert log["refusal_messages"] == {"ValidationException": f"refused by the replica: {WORDS}"}


def test_each_code_has_the_message_of_its_first_refusal(capsys: pytest.CaptureFixture[str]) -> None:
    replica = FakeReplica(
        poison=lambda item: "v" in item, words=lambda item: f"Too bad. Key: {item['PK']['S']}"
    )
    event = batch(put(1, "a", v=BAD), put(2, "b", v=BAD), put(3, "c", v={"X": "?"}), delete(4, "d"))
    function = Function(replica, FakeBucket(None, None, *[s3_error("SlowDown")] * 9))

    log, _ = lines(function, event, capsys)

    assert log["refusals"] == {"MalformedRecord": 1, "ValidationException": 2, "SlowDown": 1}
    assert log["refusal_messages"] == {
        "MalformedRecord": "malformed record: attribute …",
        "ValidationException": "refused by the replica: Too bad. Key: a",
        "SlowDown": "no",
    }


def test_the_number_and_the_length_of_messages_are_limited(capsys: pytest.CaptureFixture[str]) -> None:
    refusals = iter([replace(THROTTLED, code=f"Code{number}", message="x" * 9999) for number in range(99)])
    replica = FakeReplica(script=lambda _: next(refusals))
    event = batch(*(put(number, f"{number}", text={"S": "x" * 300_000}) for number in range(99)))

    log, _ = lines(Function(replica), event, capsys, seconds_left=REQUEST_SECONDS)

    assert len(log["refusals"]) > MAX_CODES
    assert list(log["refusal_messages"]) == [f"Code{number}" for number in range(MAX_CODES)]
    assert {len(message) for message in log["refusal_messages"].values()} == {MAX_LENGTH + 2}


@pytest.mark.parametrize("echo", [echo for echo, _ in ECHOES])
def test_no_content_that_a_refusal_quotes_is_logged(echo: str, capsys: pytest.CaptureFixture[str]) -> None:
    def words(item: Any) -> str:
        return echo.replace("{}", json.dumps(item))

    event = batch(
        put(1, "top secret", v=BAD, text={"S": "top secret"}), put(2, "a"), delete(3, "top secret b")
    )
    poisoned = FakeReplica(poison=lambda item: "v" in item, words=words)
    throttled = FakeReplica(script=lambda request: replace(THROTTLED, message=words(request[0].text)))

    for replica in (poisoned, throttled):
        function = Function(replica)
        function.invoke(event, Context(seconds_left=REQUEST_SECONDS))

        captured = capsys.readouterr()
        assert json.loads(captured.out.splitlines()[0])["refusal_messages"] != {}
        assert "secret" not in captured.out + captured.err


@pytest.mark.filterwarnings("ignore:POWERTOOLS_DEV")
def test_the_log_line_is_one_line_of_ascii(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POWERTOOLS_DEV", "true")
    function = Function(FakeReplica(script=lambda _: replace(THROTTLED, code="zu groß \ud800\u2028")))
    one = put(1, "a")
    one["dynamodb"]["SequenceNumber"] = "\ud800\n1"

    function.invoke(batch(one), Context(seconds_left=REQUEST_SECONDS))

    (line,) = capsys.readouterr().out.splitlines()
    assert line.isascii()
    assert json.loads(line)["reported_sequence_number"] == "\ud800\n1"


# These failures happen after the writes, and must not change the response to Lambda.


class Broken(io.StringIO):
    """A stream to which nothing can be written."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self._error = error

    def write(self, _: str) -> int:
        raise self._error


ERRORS = (
    ValueError("I/O operation on closed file"),
    OSError(errno.ENOSPC, "No space left on device"),
    BrokenPipeError(errno.EPIPE, "Broken pipe"),
    UnicodeEncodeError("ascii", "top secret", 0, 1, "ordinal not in range"),
    MemoryError(),
    RecursionError("maximum recursion depth exceeded"),
    KeyError("top secret"),
    AttributeError("top secret"),
    RuntimeError("top secret"),
    UserWarning("top secret"),
)


def raising(error: BaseException) -> Any:
    def broken(*_: object, **__: object) -> None:
        raise error

    return broken


def break_stdout(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Broken(error))


def break_both(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Broken(error))
    monkeypatch.setattr(sys, "stderr", Broken(error))


def no_streams(_: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)


def breaking(name: str) -> Any:
    return lambda error, monkeypatch: monkeypatch.setattr(name, raising(error))


INJECTED = {
    "stdout": break_stdout,
    "stdout and stderr": break_both,
    "no stdout and no stderr": no_streams,
    "the summary": breaking("ddbreplica.replicate.telemetry.summarise"),
    "redacting": breaking("ddbreplica.replicate.telemetry.redact"),
    "the logger": breaking("logging.Logger.handle"),
    "Powertools' logger": breaking("aws_lambda_powertools.Logger.info"),
    "Powertools' logger, warning": breaking("aws_lambda_powertools.Logger.warning"),
    "Powertools' formatter": breaking(
        "aws_lambda_powertools.logging.formatter.LambdaPowertoolsFormatter.format"
    ),
    "metrics": breaking("aws_lambda_powertools.metrics.EphemeralMetrics.__init__"),
    "a dimension": breaking("aws_lambda_powertools.metrics.EphemeralMetrics.add_dimension"),
    "a metric": breaking("aws_lambda_powertools.metrics.EphemeralMetrics.add_metric"),
    "flushing": breaking("aws_lambda_powertools.metrics.EphemeralMetrics.flush_metrics"),
    "a variable that changed": lambda _, monkeypatch: monkeypatch.setenv(
        "POWERTOOLS_METRICS_DISABLED", "maybe"
    ),
}


def outcome_of(event: Any, *, first: Any = lambda: None, then: Any = lambda: None) -> tuple[Any, ...]:
    """Return the responses, and the content of replica and bucket afterwards."""
    replica = FakeReplica(
        poison=lambda item: item.get("v") == BAD,
        script=lambda request: THROTTLED if "late" in request[0].text else (),
    )
    first()
    function = Function(replica, replicate_ttl_deletes=False)
    then()
    reported = [function.invoke(event, Context(seconds_left=REQUEST_SECONDS + 1)) for _ in range(2)]
    return reported, replica.items, function.bucket.sequence_numbers


BATCHES = {
    "all applied": batch(put(1, "a"), delete(2, "b")),
    "poison": EVENT,
    "reported": batch(put(1, "late"), put(2, "b")),
    "nothing": batch(ttl_delete(1, "a")),
}


@pytest.mark.parametrize("what", BATCHES)
@pytest.mark.parametrize("where", INJECTED)
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_no_failure_of_telemetry_fails_a_batch(
    error: Exception,
    where: str,
    what: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    expected = outcome_of(BATCHES[what])
    capsys.readouterr()

    for when in ("first", "then"):
        with monkeypatch.context() as broken:
            found = outcome_of(BATCHES[what], **{when: partial(INJECTED[where], error, broken)})
        assert found == expected
    assert "secret" not in capsys.readouterr().err


def test_a_failure_of_telemetry_is_reported_in_one_line_and_the_rest_is_written(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    function = Function(FakeReplica())
    with monkeypatch.context() as broken:
        broken.setattr("aws_lambda_powertools.Logger.info", raising(KeyError("top secret")))
        function.invoke(batch(put(1, "a")), Context("request-7"))
    captured = capsys.readouterr()

    assert captured.err == (
        "The log line or the metrics of the request request-7 could not be written (KeyError);"
        " its batch was processed all the same.\n"
    )
    (metrics,) = captured.out.splitlines()
    assert json.loads(metrics)["WritesApplied"] == [1]


def test_metrics_that_could_not_be_written_are_not_added_to_the_next_ones(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    function = Function(FakeReplica())
    with monkeypatch.context() as broken:
        broken.setattr("aws_lambda_powertools.metrics.EphemeralMetrics.flush_metrics", raising(OSError()))
        for _ in range(150):
            function.invoke(batch(put(1, "a")))
    capsys.readouterr()

    _, metrics = lines(function, batch(put(2, "b"), put(3, "c")), capsys)

    assert metrics["RecordsReceived"] == [2]


def test_an_interrupt_is_not_suppressed(monkeypatch: pytest.MonkeyPatch) -> None:
    function = Function(FakeReplica())
    monkeypatch.setattr("ddbreplica.replicate.telemetry.summarise", raising(KeyboardInterrupt()))

    with pytest.raises(KeyboardInterrupt):
        function.invoke(batch(put(1, "a")))


# The variables that Powertools reads are checked before any write.

READ_BY_POWERTOOLS = {
    "AWS_EXECUTION_ENV": "any text: part of the user agent",
    "AWS_LAMBDA_INITIALIZATION_TYPE": "Lambda's own",
    "AWS_LAMBDA_LOG_LEVEL": "Lambda's own: what Powertools does not know counts as none",
    "HOME": "Python's own",
    "_X_AMZN_TRACE_ID": "Lambda's own: any text",
    "LOG_LEVEL": "checked",
    "POWERTOOLS_DEBUG": "checked",
    "POWERTOOLS_DEV": "checked",
    "POWERTOOLS_LOGGER_SAMPLE_RATE": "checked",
    "POWERTOOLS_LOG_DEDUPLICATION_DISABLED": "checked",
    "POWERTOOLS_LOG_LEVEL": "checked",
    "POWERTOOLS_METRICS_DISABLED": "checked",
    "POWERTOOLS_METRICS_NAMESPACE": "checked",
    "POWERTOOLS_SERVICE_NAME": "checked",
}
CHECKED = sorted(name for name, why in READ_BY_POWERTOOLS.items() if why == "checked")
SPY = """
import json, os
read, look = set(), os.environ.__class__.__getitem__
os.environ.__class__.__getitem__ = lambda self, name: read.add(name) or look(self, name)
from ddbreplica.replicate.telemetry import Telemetry
from ddbreplica.records.decode import decode
from ddbreplica.bucket.quarantine import QuarantineResult
from ddbreplica.replicate.write import Outcome
telemetry = Telemetry(service="s", namespace="n", function="f", table="t")
read.discard("PYTHONPATH")
done = decode({"Records": []}, replicate_ttl_deletes=True), Outcome(), QuarantineResult(0, 0, ())
telemetry.publish(*done, ended_at=0, reported=None, request_id="r")
print(json.dumps(sorted(read)))
"""


def test_every_variable_that_powertools_reads_is_known() -> None:
    spied = subprocess.run(  # noqa: S603  our own
        [sys.executable, "-c", SPY], capture_output=True, text=True, check=True, timeout=60
    )

    *_, read = spied.stdout.splitlines()
    assert spied.stderr == ""
    assert json.loads(read) == sorted(READ_BY_POWERTOOLS)


def telemetry_of(env: dict[str, str]) -> Telemetry:
    settings = Settings.from_env(env)
    # Powertools keeps a logger by its name, together with the stdout of the test that created it.
    logging.root.manager.loggerDict.pop(settings.powertools_service_name, None)
    return Telemetry(
        service=settings.powertools_service_name,
        namespace=settings.powertools_metrics_namespace,
        function="f",
        table=settings.table,
        level=settings.powertools_log_level,
    )


@pytest.mark.parametrize(
    "value",
    ["maybe", "", " ", "info", "warning", "TRUE ", "-1", "1e999", "nan", "größe", "INFO\n", "x" * 5000],
)
@pytest.mark.parametrize("name", CHECKED)
def test_a_value_of_a_variable_is_refused_or_does_no_harm(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for variable in CHECKED:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AWS_LAMBDA_LOG_LEVEL", "INFO")
    monkeypatch.setenv(name, value)
    said = []
    try:
        made = telemetry_of({"REPLICA_TABLE_NAME": "copy", "QUARANTINE_BUCKET": "kept", name: value})
    except SettingsError as error:
        said.append(error.fact)
    else:
        done = (decode(batch(put(1, "a")), replicate_ttl_deletes=True), Outcome(), QuarantineResult(0, 0, ()))
        made.publish(*done, ended_at=0, reported=None, request_id="r")

    assert [fact for fact in said if f" {name} " not in fact] == []
    assert capsys.readouterr().err == ""


@given(
    st.text()
    | st.sampled_from(["1", "y", "Yes", "T", "TRUE", "on", "0", "n", "NO", "f", "False", "oFF", "2"])
)
def test_a_switch_has_the_values_that_powertools_accepts(value: str) -> None:
    env = {"REPLICA_TABLE_NAME": "copy", "QUARANTINE_BUCKET": "kept", "POWERTOOLS_DEV": value}
    try:
        expected = strtobool(value)
    except ValueError:
        with pytest.raises(SettingsError, match="POWERTOOLS_DEV"):
            Settings.from_env(env)
    else:
        assert Settings.from_env(env).powertools_dev == expected


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_telemetry_that_cannot_be_set_up_is_a_settings_error(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ddbreplica.replicate.telemetry.Logger", raising(error))

    with pytest.raises(SettingsError, match=rf"cannot be set up: {type(error).__name__}: .*POWERTOOLS_"):
        Telemetry(service="s", namespace="n", function="f", table="t")


def test_powertools_that_cannot_be_imported_is_a_settings_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aws_lambda_powertools", None)
    module = runpy.run_path(telemetry.__file__)

    with pytest.raises(SettingsError, match="cannot be set up: ModuleNotFoundError"):
        module["Telemetry"](service="s", namespace="n", function="f", table="t")
