"""The benchmark of the function: all contestants do the same work, and a run has all its figures."""

import json
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

import pytest

from benchmarks import bounds, rounds
from benchmarks.contestants import CONTESTANTS
from benchmarks.processes import BenchmarkError, Endpoint, endpoint, worker
from benchmarks.server import Counts, Reset
from benchmarks.workloads import QUICK, WORKLOADS, Workload

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def server() -> Iterator[Endpoint]:
    with endpoint() as running:
        yield running


def small(workload: Workload) -> Workload:
    """Return the workload with only the first few changes."""
    changes = list(workload.changes())[:30]
    keys = len({image["PK"]["S"] for _, image in changes})
    return Workload(workload.title, len(changes), keys, changes.__iter__)


def ask(server: Endpoint, operation: str, body: object) -> object:
    address = urlsplit(server.environment["AWS_ENDPOINT_URL_DYNAMODB"]).netloc
    connection = HTTPConnection(address, timeout=5)
    connection.request("POST", "/", json.dumps(body), {"X-Amz-Target": f"DynamoDB_20120810.{operation}"})
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return answer


def test_the_server_responds_like_dynamodb_and_counts_the_writes(server: Endpoint) -> None:
    one, other = {"PK": {"S": "1"}}, {"PK": {"S": "2"}}
    puts = [{"PutRequest": {"Item": one}}, {"DeleteRequest": {"Key": other}}]
    server.reset(Reset(0, keep=True))

    assert ask(server, "BatchWriteItem", {"RequestItems": {"logfile_replica": puts}}) == {
        "UnprocessedItems": {}
    }
    assert ask(server, "PutItem", {"Item": other}) == {}
    assert ask(server, "DeleteItem", {"Key": one}) == {}

    assert server.reset(Reset(0)) == Counts(requests=3, items=4, table={"1": None, "2": other})


@pytest.mark.parametrize("contestant", CONTESTANTS)
def test_contestants_write_the_same_items_except_for_known_errors(server: Endpoint, contestant: str) -> None:
    known = CONTESTANTS[contestant].wrong
    server.reset(Reset(0, keep=True))
    with worker(contestant, server.environment) as fresh:
        for name in ("nested", "deletes"):
            workload = small(WORKLOADS[name])
            fresh.run(workload, seconds=0)
            counts = server.reset(Reset(0, keep=True))

            assert counts.items == 30
            assert rounds.is_exact(counts, workload) is (name not in known)


def test_a_transform_is_measured_and_has_to_be_applied(
    server: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    workload = small(WORKLOADS["log-100"])
    assert bounds.transforming(server, workload, rounds=2, seconds=0).median > 0

    monkeypatch.setattr(bounds, "_FOUR_RULES", {"drop": ["url"]})
    with pytest.raises(BenchmarkError, match="did not transform"):
        bounds.transforming(server, workload, rounds=1, seconds=0)


def test_incomplete_work_fails_the_run(server: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    hot = WORKLOADS["hot"]
    monkeypatch.setitem(WORKLOADS, "hot", Workload(hot.title, hot.records, 11, hot.changes))

    with pytest.raises(BenchmarkError, match="ours wrote 10 items instead of 11"):
        rounds.checked(server, "ours", "hot")


def test_a_contestant_that_fails_makes_the_run_fail(server: Endpoint) -> None:
    environment = {**server.environment, "REPLICA_TABLE_NAME": "not a table's name"}

    with (
        worker("ours", environment) as fresh,
        pytest.raises(BenchmarkError, match=r"ours failed: .*SettingsError"),
    ):
        fresh.run(small(WORKLOADS["log-100"]), seconds=0)


def test_a_quick_run_has_all_figures(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "--quick", "--rounds", "1", "--output", str(tmp_path)]

    run = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)  # noqa: S603

    found = json.loads((tmp_path / "results.json").read_text())
    assert {(f["contestant"], f["workload"], f["service_time"]) for f in found["figures"]} == {
        (contestant, workload, time) for contestant in CONTESTANTS for workload in QUICK for time in (0, 4)
    }
    assert all(figure["cpu"]["median"] > 0 and figure["peak"] > 0 for figure in found["figures"])
    assert found["cold_start"]["ratio"]["median"] > 0
    assert all(goal["title"].split(",")[0] in run.stdout for goal in found["goals"])
    assert ET.parse(tmp_path / "results.svg").getroot().tag.endswith("svg")  # noqa: S314  made just now
