"""The command of the soak test: run many seeds on all processors, and print the results."""

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from tests.soak.history import MEMBERS
from tests.soak.trial import Verdict, Wire, try_seed
from tests.soak.weather import FAULTS

_SHOWN = 5
_EXAMPLES = """\
examples:
  python -m tests.soak                                   10,000 histories, some minutes
  python -m tests.soak --histories 500                   a short run
  python -m tests.soak --first-seed 4711 --histories 1   repeat one history
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the soak test. Return 1 if a record was lost or a replica differs, else 0."""
    options = _parser().parse_args(arguments)
    console = Console(highlight=False, width=max(100, Console().width))
    begun = time.monotonic()
    seeds = range(options.first_seed, options.first_seed + options.histories)
    verdicts: list[Verdict] = []
    try:
        verdicts += track(
            _verdicts(seeds, options.processes),
            total=len(seeds),
            description="histories",
            console=Console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
    except KeyboardInterrupt:
        console.print("Interrupted.")
        return 130
    for table in tables(verdicts, seconds=time.monotonic() - begun):
        console.print(table)
    bad = [verdict for verdict in verdicts if not verdict.is_good]
    for verdict in islice(bad, _SHOWN):
        console.print(f"seed {verdict.seed}: lost records {verdict.lost}, different keys {verdict.unequal}")
    return 1 if bad else 0


def tables(verdicts: Sequence[Verdict], *, seconds: float) -> Iterator[Table]:
    """Yield a table of the faults by kind, and a table of the totals."""
    injected: Counter[str] = Counter()
    for verdict in verdicts:
        injected.update(verdict.injected)
    faults = Table("fault", "injected", title="Faults")
    faults.columns[1].justify = "right"
    for kind in FAULTS:
        faults.add_row(kind, f"{injected[kind]:,}")
    yield faults
    totals = Table("of all", "", title=f"Soak, {seconds:.0f} s", show_header=False)
    totals.columns[1].justify = "right"
    for name, number in _totals(verdicts, injected):
        totals.add_row(name, f"{number:,}")
    yield totals


def _totals(verdicts: Sequence[Verdict], injected: Counter[str]) -> Iterator[tuple[str, int]]:
    yield "histories", len(verdicts)
    yield "histories with a transform", sum(bool(verdict.members) for verdict in verdicts)
    for member in MEMBERS:
        yield f"histories with {member}", sum(member in verdict.members for verdict in verdicts)
    yield "records", sum(verdict.records for verdict in verdicts)
    yield "invocations", sum(verdict.invocations for verdict in verdicts)
    yield "requests", sum(verdict.requests for verdict in verdicts)
    yield "faults injected", injected.total()
    yield "records quarantined", sum(verdict.quarantined for verdict in verdicts)
    yield "records that cannot be transformed", sum(verdict.untransformable for verdict in verdicts)
    yield "in-doubt writes quarantined", sum(verdict.in_doubt for verdict in verdicts)
    yield "records in on-failure objects", sum(verdict.discarded for verdict in verdicts)
    yield "records lost", sum(len(verdict.lost) for verdict in verdicts)
    yield "replicas that differ", sum(bool(verdict.unequal) for verdict in verdicts)


def _verdicts(seeds: Iterable[int], processes: int) -> Iterator[Verdict]:
    with ProcessPoolExecutor(processes, get_context("spawn"), _be_quiet) as pool:
        yield from pool.map(_verdict, seeds, chunksize=20)


def _be_quiet() -> None:
    # The function writes its log lines and metrics to the null device.
    sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115  open until the process ends


def _verdict(seed: int) -> Verdict:
    return try_seed(seed, _wire())


@lru_cache(maxsize=1)
def _wire() -> Wire:
    return Wire()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak",
        description="Run random histories through the function with faults at each request, and count lost records.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--histories", type=_positive, default=10_000, help="number of histories (default: 10000)"
    )
    parser.add_argument("--first-seed", type=int, default=0, help="seed of the first history (default: 0)")
    parser.add_argument(
        "--processes",
        type=_positive,
        default=os.cpu_count(),
        help="number of processes (default: one per processor)",
    )
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number
