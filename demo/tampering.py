"""Somebody's hand in the replica: `verify` finds what it did, and repairs exactly that."""

import re
from collections.abc import Mapping
from typing import Final

from demo.errors import DidNotHoldError
from demo.pair import Item, Pair
from demo.stage import FAST, Stage

# A second of grace suffices where the replica is some milliseconds behind.
_OPTIONS: Final = ("--grace", "1", *FAST)
_FOUND: Final = re.compile(r'^(different|missing|extra) +PK=\{"S": "(.+?)"\}.*?(: repaired)?$', re.MULTILINE)


def tamper_and_repair(stage: Stage) -> int:
    """Edit the replica behind the stream's back, have that found and repaired; return how many items it took."""
    stage.begin("Edit the replica by hand: change an item, delete another, add a third")
    done = tamper(stage.pair)
    _check_found(stage.run("verify", *_OPTIONS, ends_with=1), done, repaired=False)
    stage.begin("Let it be repaired")
    _check_found(stage.run("verify", "--repair", *_OPTIONS), done, repaired=True)
    if stage.pair.items(stage.pair.replica) != stage.pair.items(stage.pair.source):
        raise DidNotHoldError("The replica equals the source after the repair: it does not.")
    return len(done)


def tamper(pair: Pair) -> Mapping[str, str]:
    """Change an item of the replica, delete another and add a third: what `verify` is to call each key."""
    (changed, item), (deleted, _), *_ = sorted(pair.items(pair.replica).items())
    pair.dynamodb.put_item(TableName=pair.replica, Item=_edited(item))
    pair.dynamodb.delete_item(TableName=pair.replica, Key={"PK": {"S": deleted}})
    added = f"{changed}-copy"
    pair.dynamodb.put_item(TableName=pair.replica, Item={**item, "PK": {"S": added}})
    return {changed: "different", deleted: "missing", added: "extra"}


def _edited(item: Item) -> Item:
    return {**item, "bytessent": {"N": "0"}, "note": {"S": "corrected by hand"}}


def found(output: str, *, repaired: bool) -> Mapping[str, str]:
    """The keys that `verify` names, each with what it is, of those that it has repaired or those that it has not."""
    named = _FOUND.findall(output)
    return {key: finding for finding, key, mended in named if bool(mended) is repaired}


def _check_found(output: str, done: Mapping[str, str], *, repaired: bool) -> None:
    if (named := found(output, repaired=repaired)) != done:
        verb = "repairs" if repaired else "finds"
        raise DidNotHoldError(f"`ddbreplica verify` {verb} {dict(done)}: it {verb} {dict(named)}.")
