"""`ddbreplica status`: whether changes flow to the replica, what is in the way, and what to run next."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import NoReturn, TypeAlias

import click
from rich.live import Live
from rich.text import Text

from ddbreplica_cli import output
from ddbreplica_cli.connection import Connection
from ddbreplica_cli.errors import InterruptedByUserError
from ddbreplica_cli.facts import Facts
from ddbreplica_cli.health import AS_FAR_AS_SEEN, REPLICATING, Finding, examine, verdict
from ddbreplica_cli.observe import observe
from ddbreplica_cli.options import Options, shared_options
from ddbreplica_cli.patience import noting_interrupts
from ddbreplica_cli.printable import printable
from ddbreplica_cli.screen import document, screen

Findings: TypeAlias = Sequence[Finding]

_INTERVAL = 10.0


@click.command()
@click.option(
    "--watch",
    type=click.FloatRange(min=1),
    is_flag=False,
    flag_value=_INTERVAL,
    metavar="SECONDS",
    help=f"Look again every so many seconds ({_INTERVAL:g} if none are named), until Ctrl-C.",
)
@shared_options
def status(options: Options, *, watch: float | None) -> None:
    """Show whether changes flow to the replica, and what to run if they do not.

    Looks at the tables, the mapping and its function, CloudWatch's metrics and both buckets; changes nothing. What
    may not or cannot be seen is said to be unknown, and why. With --watch and --json each look is one line.

    \b
    Examples:
      ddbreplica status --stack-name ddbreplica
      ddbreplica status --source orders --replica orders-copy --json
      ddbreplica status --stack-name ddbreplica --watch

    Ends with `replicating` (exit status 0), `NEEDS ATTENTION` or `NOT REPLICATING` (1).
    """  # noqa: D301  \b is click's: do not wrap
    connection = Connection(options)
    if watch is not None:
        _watch(connection, options, watch)
    facts = observe(connection)
    findings = examine(facts, options)
    output.print_result(document(facts, findings), screen(facts, findings), as_json=options.as_json)
    if verdict(facts, findings) not in (REPLICATING, AS_FAR_AS_SEEN):
        raise SystemExit(1)
    output.print_note(f"Try: `ddbreplica verify{options.tables}` proves that the tables are equal.")


def _watch(connection: Connection, options: Options, seconds: float) -> NoReturn:
    with noting_interrupts() as interrupt, _shower(as_json=options.as_json) as show:
        while not interrupt.is_set:
            facts = observe(connection)
            show(facts, examine(facts, options))
            interrupt.sleep(seconds)
    raise SystemExit(InterruptedByUserError.exit_code)


@contextmanager
def _shower(*, as_json: bool) -> Iterator[Callable[[Facts, Findings], None]]:
    """Where each look goes: a line of JSON, a screen after the other, or on a terminal one in place of the other."""
    if as_json:
        yield lambda facts, findings: click.echo(printable(document(facts, findings)))
    elif not sys.stdout.isatty():
        yield lambda facts, findings: click.echo(f"{_timed(facts, findings)}\n")
    else:
        with Live(auto_refresh=False, vertical_overflow="visible") as live:
            yield lambda facts, findings: live.update(Text(_timed(facts, findings)), refresh=True)


def _timed(facts: Facts, findings: Findings) -> str:
    return f"{screen(facts, findings)}, at {datetime.now().astimezone():%H:%M:%S}"
