"""Run `ddbreplica status`: print health, lag, problems, and the command that fixes each problem."""

import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, NoReturn

import click
from rich.live import Live
from rich.text import Text

from ddbreplica.aws.request import Known, known
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.inspect.fleet import UNKNOWN, Line
from ddbreplica.inspect.health import AS_FAR_AS_SEEN, REPLICATING, examine
from ddbreplica.inspect.observe import observe
from ddbreplica.inspect.observe_fleet import observe_fleet
from ddbreplica.jobs.control.facts import JobFacts
from ddbreplica.jobs.control.observe import observe_jobs
from ddbreplica.records.text import printable
from ddbreplica_cli.runs.jobs.status import job_lines, job_rows, with_jobs
from ddbreplica_cli.runs.status_fleet_screen import fleet_document, fleet_screen
from ddbreplica_cli.runs.status_screen import document, screen
from ddbreplica_cli.terminal import output
from ddbreplica_cli.terminal.console import console_on
from ddbreplica_cli.terminal.driver import noting_interrupts
from ddbreplica_cli.terminal.exit_status import ATTENTION, INCONCLUSIVE
from ddbreplica_cli.terminal.options import Options

_AT_A_TIME = 8

_EXIT_STATUS = {REPLICATING: 0, AS_FAR_AS_SEEN: 0, UNKNOWN: INCONCLUSIVE}


@dataclass(frozen=True, slots=True)
class _Seen:
    """The status at one moment, as a JSON document and as text."""

    document: Mapping[str, Any]
    screen: str

    @property
    def exit_status(self) -> int:
        return _EXIT_STATUS.get(self.document["verdict"], ATTENTION)


def run(options: Options, *, fleet: bool, watch: float | None) -> None:
    """Print the status once, or again and again until Ctrl-C."""
    if fleet and (options.source or options.replica or options.stack_name or options.replica_region):
        raise click.UsageError(
            "--all cannot be used with --source, --replica, --stack-name or --replica-region."
        )
    look = partial(_look_at_all if fleet else _look, Connection(options), options)
    if watch is not None:
        _watch(look, watch, as_json=options.as_json)
    seen = look()
    output.print_result(seen.document, seen.screen, as_json=options.as_json)
    if seen.exit_status:
        raise SystemExit(seen.exit_status)
    if not fleet:
        output.print_note(f"Try: `ddbreplica verify{options.tables}` compares the tables.")


def _look(connection: Connection, options: Options) -> _Seen:
    facts = observe(connection)
    findings = examine(facts, options)
    mapping = facts.mapping
    jobs = known(lambda: observe_jobs(connection, mapping)) if mapping else None
    now = connection.clock.moment
    return _Seen(
        with_jobs(document(facts, findings), facts, jobs, now=now),
        screen(facts, findings, job_rows(facts, jobs, now=now)),
    )


def _look_at_all(connection: Connection, options: Options) -> _Seen:
    fleet = observe_fleet(connection, options)
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        jobs = list(pool.map(partial(_jobs_of, connection), fleet.lines))
    now = connection.clock.moment
    documents = [
        partial(with_jobs, facts=line.facts, jobs=each, now=now)
        for line, each in zip(fleet.lines, jobs, strict=True)
    ]
    texts = [job_lines(line.facts, each, now=now) for line, each in zip(fleet.lines, jobs, strict=True)]
    return _Seen(fleet_document(fleet, documents), fleet_screen(fleet, texts))


def _jobs_of(connection: Connection, line: Line) -> Known[JobFacts | None]:
    mapping = line.facts.mapping
    # A function without a pair may have been deleted, and has no jobs.
    if mapping is None or line.source is None:
        return None
    return known(lambda: observe_jobs(connection, mapping))


def _watch(look: Callable[[], _Seen], seconds: float, *, as_json: bool) -> NoReturn:
    with noting_interrupts() as interrupt, _shower(as_json=as_json) as show:
        while not interrupt.is_set:
            show(look())
            interrupt.sleep(seconds)
    raise SystemExit(interrupt.exit_status)


@contextmanager
def _shower(*, as_json: bool) -> Iterator[Callable[[_Seen], None]]:
    """Yield a function that shows a status: as a line of JSON, as text or, on a terminal, in place of the last one."""
    if as_json:
        yield lambda seen: output.print_data(printable(seen.document))
    elif sys.stdout is None or not sys.stdout.isatty():
        yield lambda seen: output.print_data(f"{_timed(seen)}\n")
    else:
        console = console_on(sys.stdout)
        # Not cropped to the height of the terminal: the verdict is the last line.
        with Live(console=console, auto_refresh=False, vertical_overflow="visible") as live:
            # Escape before rich wraps the text: escaping makes lines longer, and rich would cut them off.
            yield lambda seen: live.update(
                Text(output.displayed(_timed(seen), console.encoding)), refresh=True
            )


def _timed(seen: _Seen) -> str:
    return f"{seen.screen}, at {datetime.now().astimezone():%H:%M:%S}"
