"""`ddbreplica jobs`: shows and stops the jobs that run in AWS on the workers of a stack."""

import click

from ddbreplica_cli.terminal.options import Options, shared_options
from ddbreplica_cli.terminal.param_type import Integer, Name

_MOST = 20


@click.group()
def jobs() -> None:
    """Show and stop the jobs that run in AWS.

    The option --in-aws of backfill, verify and redrive starts a job, and a schedule may start others. Jobs run on the
    workers of the stack (parameter Workers). Their state is in the quarantine bucket for 30 days.

    \b
    Examples:
      ddbreplica jobs show --stack-name ddbreplica
      ddbreplica jobs show --stack-name ddbreplica verify-20261129T213005Z-1a2b3c
      ddbreplica jobs stop --stack-name ddbreplica verify-20261129T213005Z-1a2b3c
    """  # noqa: D301  \b is click's: do not wrap


@jobs.command()
@click.argument("job", type=Name(), required=False)
@click.option(
    "--limit",
    type=Integer(min=1, max=1_000),
    metavar="N",
    default=_MOST,
    show_default=True,
    help="Maximum number of jobs to list.",
)
@shared_options
def show(options: Options, *, job: str | None, limit: int) -> None:
    """List the newest jobs, or show one job in detail.

    The list has the state of each job: running, its verdict, failed, stopped, timed out, or unfinished. JOB is the
    name of a job. Its details are its attempts with the reasons why they failed, its segments, and its report.

    \b
    Examples:
      ddbreplica jobs show --stack-name ddbreplica
      ddbreplica jobs show --source orders --replica orders-copy --json
      ddbreplica jobs show --stack-name ddbreplica verify-20261129T213005Z-1a2b3c

    Exits with 0 also if a job has failed. Exits with 2 if the job does not exist or cannot be read.
    """  # noqa: D301  \b is click's: do not wrap
    from ddbreplica_cli.runs.jobs.show import show as run

    run(options, job, most=limit)


@jobs.command()
@click.argument("job", type=Name())
@shared_options
def stop(options: Options, *, job: str) -> None:
    """Stop a job that runs.

    The workers of the job end within some seconds. What they have done is kept: the command that has started the job
    resumes it. The keys that a backfill or a repair was writing are put into the quarantine bucket, as soon as their
    writes can no longer land.

    \b
    Examples:
      ddbreplica jobs stop --stack-name ddbreplica verify-20261129T213005Z-1a2b3c
      ddbreplica jobs stop --source orders --replica orders-copy verify-20261129T213005Z-1a2b3c

    Exits with 1 while a write of the job may still land: run the same command again after the time that it prints.
    Exits with 2 if the job has ended and left no key open, or if the command failed.
    """  # noqa: D301  \b is click's: do not wrap
    from ddbreplica_cli.runs.jobs.stop import stop as run

    run(options, job)
