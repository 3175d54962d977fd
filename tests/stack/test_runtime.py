"""The deployment package in Lambda's runtime: the response that Lambda gets, and the function errors."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median, quantiles
from typing import Final

import pytest

from demo.embedded import EmbeddedAws, embedded_aws
from demo.pair import wait_until
from tests.support.build import SET_SAM_UP, python313
from tests.support.proxy import Exchange, Proxy, passed_on, signer
from tests.support.runtime import PYTHON, FunctionError, Runtime, emulator, runtime
from tests.support.stories import BUCKET, OWN_KEYS, STORIES, TABLE, Account, event

NOTHING_TO_REPORT: Final[dict[str, list[object]]] = {"batchItemFailures": []}
BATCHES: Final = 100
SHORT: Final = 22
"""A timeout, in seconds, that leaves a warm sandbox time to start a request, which needs 20, and not to repeat it."""

pytestmark = [
    pytest.mark.skipif(
        python313() is None, reason="needs Python 3.13, the function's runtime, and then: run `make stack`"
    ),
    pytest.mark.skipif(emulator() is None, reason=f"needs SAM CLI's emulator for Linux: {SET_SAM_UP}"),
    pytest.mark.skipif(not PYTHON.exists(), reason="needs Lambda's runtime client: run `make stack`"),
]


@pytest.fixture(scope="module")
def aws() -> Iterator[EmbeddedAws]:
    with embedded_aws() as running:
        yield running


@pytest.fixture
def account(aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    for name, value in settings(aws).items():
        monkeypatch.setenv(name, value)
    fresh = Account()
    yield fresh
    fresh.dynamodb.delete_table(TableName=TABLE)
    for found in fresh.s3.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        fresh.s3.delete_object(Bucket=BUCKET, Key=found["Key"])


@pytest.fixture(scope="module")
def function(bundle: Path, aws: EmbeddedAws, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    """One execution environment for all tests, which use tables with different keys."""
    home = tmp_path_factory.mktemp("runtime")
    with runtime(bundle, settings(aws), home=home) as started:
        yield started


def settings(aws: EmbeddedAws, *, endpoint_url: str | None = None) -> dict[str, str]:
    own = {"REPLICA_TABLE_NAME": TABLE, "QUARANTINE_BUCKET": BUCKET}
    return {**own, "AWS_ENDPOINT_URL": endpoint_url or aws.endpoint_url, **aws.credentials}


@pytest.mark.parametrize("story", STORIES)
def test_an_event_has_its_expected_result(story: str, account: Account, function: Runtime) -> None:
    account.create_replica(OWN_KEYS.get(story, {"PK": "S"}))

    assert function.invoke(event(story)) == NOTHING_TO_REPORT

    STORIES[story](account)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (event("keys-only"), "StreamViewTypeError: The stream's StreamViewType is KEYS_ONLY"),
        (
            {"source": "aws.events"},
            "EventError: Expected an event with a list of Records from a DynamoDB stream",
        ),
        ({"Records": [{"eventSource": "aws:sqs"}]}, r"EventError: .* got records of aws:sqs"),
        (event("tasks-insert"), "KeySchemaError: "),
    ],
)
def test_an_error_that_no_record_causes_is_a_function_error(
    batch: object, message: str, account: Account, function: Runtime
) -> None:
    account.create_replica({"PK": "S"})

    with pytest.raises(FunctionError, match=message):
        function.invoke(batch)

    assert (account.items(), account.quarantined()) == ({}, [])


def test_an_empty_setting_is_a_function_error_every_time(bundle: Path, tmp_path: Path) -> None:
    with runtime(bundle, {"REPLICA_TABLE_NAME": TABLE, "QUARANTINE_BUCKET": ""}, home=tmp_path) as unset:
        for _ in range(2):
            with pytest.raises(FunctionError, match=r"SettingsError: .* QUARANTINE_BUCKET is empty"):
                unset.invoke(event("insert"))


def test_a_batch_leaves_one_line_in_the_log_and_one_set_of_metrics(
    account: Account, function: Runtime
) -> None:
    account.create_replica({"PK": "S"})
    before = len(function.lines())

    function.invoke(event("insert"))

    line, metrics = function.lines()[before:]
    assert (line["level"], line["message"], line["RecordsReceived"]) == ("INFO", "batch applied", 1)
    assert metrics["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "ddbreplica"
    assert metrics["WritesApplied"] == [1.0]


def wake(sandbox: Runtime) -> None:
    """Run the cold start first, since it would use up a short timeout."""
    assert sandbox.invoke({"Records": []}) == NOTHING_TO_REPORT


def never_ending(exchange: Exchange) -> None:
    """Send a response slowly without end, so that no timeout of the client detects it."""
    exchange.send(b"HTTP/1.1 200 -\r\n", *[b"X-More: follows\r\n"] * 90, pause=1)


@pytest.fixture
def proxy(aws: EmbeddedAws) -> Iterator[Proxy]:
    between = Proxy(aws.endpoint_url, signer(aws.account, aws.secret, aws.region))
    between.script = lambda _: never_ending
    yield between
    between.close()


def test_a_batch_that_times_out_is_a_function_error_and_is_applied_when_delivered_again(
    bundle: Path, aws: EmbeddedAws, account: Account, proxy: Proxy, tmp_path: Path
) -> None:
    account.create_replica({"PK": "S"})
    with runtime(bundle, settings(aws, endpoint_url=proxy.url), home=tmp_path, timeout=SHORT) as sandbox:
        wake(sandbox)
        with pytest.raises(FunctionError, match=rf"^Task timed out after {SHORT}.00 seconds$"):
            sandbox.invoke(event("insert"))
        assert account.items() == {}
        proxy.script = lambda _: passed_on
        wake(sandbox)

        assert sandbox.invoke(event("insert")) == NOTHING_TO_REPORT

    STORIES["insert"](account)


def test_a_batch_whose_environment_is_killed_is_a_function_error_and_is_applied_when_delivered_again(
    bundle: Path, aws: EmbeddedAws, account: Account, proxy: Proxy, tmp_path: Path
) -> None:
    account.create_replica({"PK": "S"})
    with (
        runtime(bundle, settings(aws, endpoint_url=proxy.url), home=tmp_path) as sandbox,
        ThreadPoolExecutor(1) as lambda_service,
    ):
        invocation = lambda_service.submit(sandbox.invoke, event("insert"))
        wait_until(lambda: bool(proxy.exchanges), "A request is in progress")
        sandbox.kill()
        with pytest.raises(FunctionError, match=r"^Runtime.ExitError: .* signal: killed$"):
            invocation.result()
        assert account.items() == {}
        proxy.script = lambda _: passed_on

        assert sandbox.invoke(event("insert")) == NOTHING_TO_REPORT

    STORIES["insert"](account)


def test_a_hundred_batches_succeed_and_their_times_are_printed(
    bundle: Path,
    aws: EmbeddedAws,
    account: Account,
    tmp_path: Path,
    pytestconfig: pytest.Config,
    capsys: pytest.CaptureFixture[str],
) -> None:
    account.create_replica({"PK": "S"})
    batch = event("many-keys")
    seconds = []
    with runtime(bundle, settings(aws), home=tmp_path) as sandbox:
        for _ in range(1 + BATCHES):
            start = time.perf_counter()
            assert sandbox.invoke(batch) == NOTHING_TO_REPORT
            seconds.append(time.perf_counter() - start)

    STORIES["many-keys"](account)
    cold, warm = seconds[0], seconds[1:]
    with capsys.disabled():
        pytestconfig.get_terminal_writer().line(
            f"\nIn Lambda's runtime: {cold:.2f} s for the first batch; for {BATCHES} more of {len(batch['Records'])}"
            f" records {1000 * median(warm):.1f} ms (median), {1000 * quantiles(warm, n=100)[98]:.1f} ms (p99)"
        )
