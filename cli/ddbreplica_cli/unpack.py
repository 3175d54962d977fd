"""An object of one of the two buckets → the keys of the records that it keeps, or why it is none of ours. Pure.

The function keeps one record an object (`ddbreplica.quarantine`). Lambda keeps a batch that it gave up, with the
function's event as text in `payload`: https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from ddbreplica.decode import MalformedError, key_of
from ddbreplica.model import Key
from ddbreplica.schema import source_arn
from ddbreplica.write import SUSPECT
from ddbreplica_cli.key_filter import KeyFilter

_SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What an object keeps. `keys` are different ones; `keyless` counts the records whose key cannot be read.

    `why` it is kept is its writer's word. `may_land` says that a write of it may still be carried out. `outside` are
    keys that the mapping's filter leaves out, by now, and are not among `keys`.
    """

    keys: tuple[Key, ...]
    keyless: int
    why: str
    may_land: bool
    outside: tuple[Key, ...] = ()


class ForeignError(Exception):
    """The object is for somebody else: its records are of another table, or were given to another function."""


class UnreadableError(Exception):
    """The object is not what its writer puts there, or a later version's."""


Unpack: TypeAlias = Callable[[bytes], Unpacked]
"""Raises ForeignError or UnreadableError, whose message completes the sentence `it is left, since it …`."""


def quarantined(source: str) -> Unpack:
    """How to read what the function keeps of the records of the source with this ARN."""

    def unpack(body: bytes) -> Unpacked:
        content = _json_object(body)
        if content.get("schema") != _SCHEMA or "record" not in content:
            raise UnreadableError(f"is no quarantined record of schema {_SCHEMA}")
        _refuse_foreign(source_arn(content["record"]), source)
        keys, keyless = _keys([content["record"]])
        return Unpacked(
            keys, keyless, why=str(content.get("reason")), may_land=content.get("error_code") == SUSPECT
        )

    return unpack


def given_up(source: str, *, function: str | None) -> Unpack:
    """How to read what Lambda gave up of the records of the source with this ARN, meant for this function or any.

    An invocation that failed could not say which of its writes may still land, so any may.
    """

    def unpack(body: bytes) -> Unpacked:
        content = _json_object(body)
        try:
            stream, context = content["DDBStreamBatchInfo"]["streamArn"], content["requestContext"]
            table, given_to = stream.partition("/stream/")[0], _unqualified(context["functionArn"])
            condition, (first, *others) = context["condition"], _json_object(content["payload"])["Records"]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UnreadableError("is no batch that Lambda gave up") from error
        _refuse_foreign(table, source)
        if function is not None and given_to != _unqualified(function):
            raise ForeignError(f"was given to the function {given_to}")
        keys, keyless = _keys([first, *others])
        return Unpacked(keys, keyless, why=str(condition), may_land=True)

    return unpack


def within(key_filter: KeyFilter, unpack: Unpack) -> Unpack:
    """The same reading, with the keys that the filter leaves out told apart."""

    def parted(body: bytes) -> Unpacked:
        unpacked = unpack(body)
        keys = tuple(key for key in unpacked.keys if key_filter.passes(key))
        outside = tuple(key for key in unpacked.keys if not key_filter.passes(key))
        return replace(unpacked, keys=keys, outside=outside)

    return parted


def _json_object(text: bytes | str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnreadableError("is not JSON") from error
    if not isinstance(content, dict):
        raise UnreadableError("is no JSON object")
    return content


def _refuse_foreign(arn: str | None, source: str) -> None:
    # A record without an ARN is the source's: the object's name says so.
    if arn not in (None, source):
        raise ForeignError(f"keeps records of {arn}")


def _unqualified(function_arn: str) -> str:
    """The function's ARN without version or alias."""
    return ":".join(function_arn.split(":")[:7])


def _keys(records: Iterable[Any]) -> tuple[tuple[Key, ...], int]:
    keys: dict[Key, None] = {}
    keyless = 0
    for record in records:
        data = record.get("dynamodb") if isinstance(record, dict) else None
        try:
            keys[key_of(data.get("Keys") if isinstance(data, dict) else None)] = None
        except MalformedError:
            keyless += 1
    return tuple(keys), keyless
