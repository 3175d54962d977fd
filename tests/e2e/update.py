"""Update the code during writes to the source, and count in the function's log the records applied twice."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from threading import Event, Thread
from typing import Final

from demo import traffic
from demo.pair import wait_until
from tests.e2e.deployment import Deployed
from tests.e2e.report import Claim

_PAUSE: Final = 0.25
"""The pause between two writes, for the workshop's five write capacity units per second."""

_MEMORY: Final = 512


def update_under_writes(deployed: Deployed, redeploy: Callable[..., None]) -> None:
    """Redeploy with more memory while items are changed, and count the records that the function received."""
    run = deployed.run
    run.begin(f"Redeploy with MemorySize={_MEMORY} during writes to the source")
    before = _received_when_quiet(deployed, least=0)
    with _writing(deployed) as writer:
        redeploy(run, MemorySize=_MEMORY)
    deployed.wait_until_equal()
    expected = before + writer.written
    again = _received_when_quiet(deployed, least=expected) - expected
    batch = run.account.functions.get_event_source_mapping(UUID=deployed.mapping)["BatchSize"]
    run.found(
        Claim.UPDATED,
        f"{writer.written} changes were written, and {again} of them were delivered again; BatchSize is {batch}.",
        held=again <= batch and writer.written > 0,
    )


@dataclass(slots=True)
class _Writer:
    deployed: Deployed
    written: int = 0
    stop: Event = field(default_factory=Event)

    def run(self) -> None:
        for key in cycle(self.deployed.keys()):
            if self.stop.wait(_PAUSE):
                return
            traffic.update(self.deployed.pair, [key])
            self.written += 1


@contextmanager
def _writing(deployed: Deployed) -> Iterator[_Writer]:
    writer = _Writer(deployed)
    thread = Thread(target=writer.run)
    thread.start()
    try:
        yield writer
    finally:
        writer.stop.set()
        thread.join()


def _received_when_quiet(deployed: Deployed, *, least: int) -> int:
    """Return the number of received records in the function's log, once two polls of it are equal.

    Raises DidNotHoldError if the log never has `least` records.
    """
    seen = [-1, _received(deployed)]

    def agree() -> bool:
        time.sleep(deployed.run.pace.look)
        seen[:] = [seen[1], _received(deployed)]
        return least <= seen[0] == seen[1]

    wait_until(
        agree,
        f"The function's log has {least} records, and no more are added",
        within=deployed.run.pace.metrics,
    )
    return seen[1]


def _received(deployed: Deployed) -> int:
    pages = deployed.run.account.logs.get_paginator("filter_log_events").paginate(
        logGroupName=deployed.outputs["LogGroupName"], filterPattern='"batch applied"'
    )
    lines = [json.loads(event["message"]) for page in pages for event in page["events"]]
    return sum(line["RecordsReceived"] for line in lines)
