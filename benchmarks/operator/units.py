"""Count the read units that a command takes on DynamoDB Local. Unlike times, they are the same on every machine.

A proxy asks for the consumed capacity in each read of the command, and adds it up.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final

from benchmarks.goals import Goal
from benchmarks.operator.loops import REPLICA, SOURCE, Item
from benchmarks.operator.programs import PROGRAMS, run
from benchmarks.operator.proxies.meter import Seen, metered
from benchmarks.operator.trials import Service
from benchmarks.processes import BenchmarkError, calling
from benchmarks.rounds import Say
from benchmarks.workloads import KEY

QUIET: Final = "quiet tables"
CHANGING: Final = "30 % of the items changed meanwhile"

SIZE: Final = 460
"""The bytes of an item."""

_BACKFILL: Final = "backfill"
_VERIFY: Final = "verify"
_EVENTUALLY: Final = "verify --eventually-consistent"

_MOST: Final[Mapping[tuple[str, str], float]] = {
    (_BACKFILL, QUIET): 0.3,
    (_BACKFILL, CHANGING): 0.7,
    (_VERIFY, QUIET): 0.25,
    (_EVENTUALLY, QUIET): 0.13,
}
"""The most read units for an item, by the command and what happens meanwhile."""


@dataclass(frozen=True, slots=True)
class Units:
    """The read units of a command, for each of so many items, and what happened meanwhile."""

    command: str
    meanwhile: str
    items: int
    each: float


def measure(service: Service, *, items: int, say: Say) -> Iterator[Units]:
    """Measure each case on new tables, of which the source has so many items, and for `verify` the replica too."""
    for command, meanwhile in _MOST:
        say(f"{service.name}: read units of {command}, {meanwhile}")
        with service.empty_tables():
            for table in (SOURCE,) if command == _BACKFILL else (SOURCE, REPLICA):
                service.put(table, [_item(number, "x") for number in range(items)])
            changing = _Changing(service) if meanwhile == CHANGING else _nothing
            yield Units(command, meanwhile, items, read_units(service, command, seen=changing) / items)


def goals(figures: Sequence[Units]) -> Iterator[Goal]:
    """Yield the goals of the measured cases."""
    for figure in figures:
        title = f"{figure.command}, {figure.meanwhile}: read units per item of {SIZE} bytes"
        most = _MOST[figure.command, figure.meanwhile]
        yield Goal(title, "≤", most, figure.each, binding=True)


def read_units(service: Service, command: str, *, seen: Seen) -> float:
    """Run the command with its options, and return the read units that it takes from both tables.

    Raises BenchmarkError if the tables differ afterwards.
    """
    name, *more = command.split()
    with metered(service.url, seen) as meter:
        run(PROGRAMS[name]["ours"], {**service.environment, **calling(meter.url)}, *more)
    if service.items(REPLICA) != service.items(SOURCE):
        raise BenchmarkError(f"{command} on {service.name} left different tables")
    return meter.units


def _nothing(operation: str, request: Any, response: Any) -> None:
    pass


class _Changing:
    """Changes three of ten items of each page of the source after it was scanned, and before it is confirmed."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._scanned: set[str] = set()
        self._lock = Lock()

    def __call__(self, operation: str, request: Any, response: Any) -> None:
        if operation == "Scan" and request["TableName"] == SOURCE and self._is_first(request):
            items = [item for place, item in enumerate(response["Items"]) if place % 10 < 3]
            self._service.put(SOURCE, [{**item, **_content("y")} for item in items])

    def _is_first(self, request: Any) -> bool:
        """Return whether the range has not been scanned yet: a second scan confirms its page."""
        start = json.dumps([request["Segment"], request.get("ExclusiveStartKey")])
        with self._lock:
            is_first = start not in self._scanned
            self._scanned.add(start)
        return is_first


def _item(number: int, letter: str) -> Item:
    return {KEY: {"S": f"item{number:08}"}, **_content(letter)}


def _content(letter: str) -> Item:
    return {"data": {"S": letter * (SIZE - len(f"{KEY}item00000000data"))}}
