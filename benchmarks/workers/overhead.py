"""Measure what a job takes beside its work: the state machine, the start of workers, and the objects of the job."""

from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.processes import BenchmarkError, calling
from benchmarks.rounds import Say
from benchmarks.workers.figures import Overhead
from benchmarks.workers.in_process import by_worker
from demo.embedded import embedded_aws
from demo.errors import EmbeddedAwsError
from tests.support.workers import Deployed, package

SEGMENTS = 8


def measure_overhead(*, items: int, rounds: int, say: Say) -> Overhead:
    """Verify equal tables on the embedded AWS, in each round by a job of eight workers, and by one worker in process.

    A job before the first round starts the workers, which are warm afterwards.
    """
    jobs: list[float] = []
    work: list[float] = []
    of_segment = items // SEGMENTS
    with TemporaryDirectory() as home:
        try:
            with embedded_aws() as aws:
                packaged = package(aws, Path(home), items_of_a_segment=of_segment)
                deployed = Deployed.by(aws, "overhead", packaged, WorkerConcurrency=str(SEGMENTS))
                say(f"the embedded AWS: {items:,} items are replicated")
                deployed.fill(range(items))
                _job(deployed, "warm", items)
                environment = {**calling(aws.endpoint_url), **aws.credentials}
                tables = ("--source", deployed.stack.source, "--replica", deployed.stack.replica)
                for number in range(rounds):
                    say(f"the embedded AWS: round {number + 1} of {rounds}")
                    jobs.append(_job(deployed, f"round-{number}", items))
                    _, result = by_worker(
                        environment, "verify", *tables, "--items-of-a-segment", str(of_segment)
                    )
                    _expect(result["report"], items)
                    work.append(result["seconds"])
        except EmbeddedAwsError as error:
            raise BenchmarkError(str(error)) from error
    return Overhead(items, SEGMENTS, jobs, work)


def _job(deployed: Deployed, name: str, items: int) -> float:
    """Return the seconds of a job, from its start to its end."""
    execution = deployed.start("verify", name, grace=0, read_rate=1_000_000)
    end = deployed.ended(execution, within=600)
    if end["status"] != "SUCCEEDED":
        raise BenchmarkError(f"the job {name} ended as {end['status']}: {end.get('cause')}")
    _expect(deployed.stored(f"{name}/report.json"), items)
    return float((end["stopDate"] - end["startDate"]).total_seconds())


def _expect(report: object, items: int) -> None:
    wanted = {"verdict": "equal", "source_items": items, "replica_items": items}
    if not isinstance(report, dict) or not wanted.items() <= report.items():
        raise BenchmarkError(f"a verification of {items:,} equal items reported {report}")
