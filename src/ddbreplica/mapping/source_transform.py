"""Find the transform through which a command sees the source: that of the mapping's function.

The function's configuration is read, and never the environment of the command.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from ddbreplica.aws.arn import region_of
from ddbreplica.aws.secret import read_secret
from ddbreplica.driver import Note
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.dynamodb.describe import Described
from ddbreplica.errors import ReplicatorError, TaskError
from ddbreplica.mapping.event_source_mapping import MappingState
from ddbreplica.mapping.lookup import environment_of
from ddbreplica.transform.deployed import Deployed, Given, deployed
from ddbreplica.transform.same_transform import NO_TRANSFORM, SameTransform, fixed
from ddbreplica.transform.view import AS_IT_IS, View

_UNKNOWN = "the function's transform is not known, since its configuration cannot be read"


def to_write(
    connection: Connection, mapping: MappingState | None, source: Described, *, given: Given | None
) -> SameTransform:
    """Return the transform for a command that writes. Raises TaskError if it is not known, or cannot be applied."""
    found = _found(connection, mapping, source, given)
    if found is None:
        # Never assumed: without its transform, what is hidden from the replica would be written to it.
        raise TaskError(
            f"{_UNKNOWN}.",
            hint="say what it is: --transform FILE, or --transform none if it has no transform.",
        )
    return found


def to_compare(
    connection: Connection,
    mapping: MappingState | None,
    source: Described,
    *,
    given: Given | None,
    note: Note,
) -> SameTransform:
    """Return the transform for a comparison. If it is not known, note that items are compared as without one."""
    found = _found(connection, mapping, source, given)
    if found is None:
        note(f"{_UNKNOWN[0].upper()}{_UNKNOWN[1:]}: items are compared as without a transform.")
        return NO_TRANSFORM
    return found


def _found(
    connection: Connection, mapping: MappingState | None, source: Described, given: Given | None
) -> SameTransform | None:
    if mapping is None:
        return fixed(_view(connection, given.transform, source)) if given else None
    present = transform_of(mapping.environment, of=mapping.function_name)
    if given is not None and given.digest != (present.digest if present else None):
        raise TaskError(
            f"--transform does not give the transform of the function {mapping.function_name}.",
            hint="leave out --transform, since the function's own is read; or deploy the stack with this one first.",
        )
    return SameTransform(
        _view(connection, present, source), _reader(connection, mapping), connection.clock.ticks
    )


def transform_of(environment: Mapping[str, str], *, of: str) -> Deployed | None:
    """Return the transform in a function's variables. Raises TaskError if it is not valid."""
    with _as_task(f"the transform of the function {of} cannot be used"):
        return deployed(environment)


def _view(connection: Connection, transform: Deployed | None, source: Described) -> View:
    if transform is None:
        return AS_IT_IS
    key = [name for name, _ in source.table.key_schema]
    with _as_task("the transform cannot be applied"):
        secret = None
        if transform.secret is not None:
            secret = read_secret(transform.secret, connection.secrets(region_of(transform.secret.arn)))
        return transform.view(key, secret)


def _reader(connection: Connection, mapping: MappingState) -> Callable[[], str | None]:
    client = connection.functions

    def read_digest() -> str | None:
        environment = environment_of(client, mapping.function_arn)
        present = transform_of(environment, of=mapping.function_name)
        return present.digest if present else None

    return read_digest


@contextmanager
def _as_task(doing: str) -> Iterator[None]:
    try:
        yield
    except ReplicatorError as error:
        raise TaskError(f"{doing}: {error.fact}", hint=error.hint[0].lower() + error.hint[1:]) from error
