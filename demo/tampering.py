"""Edit the replica by hand: `verify` finds these edits, and repairs exactly them."""

import re
from collections.abc import Mapping
from typing import Final

from demo.errors import DidNotHoldError
from demo.pair import Item, Pair
from demo.stage import FAST, Stage

# A grace period of a second is enough for a lag of milliseconds.
_OPTIONS: Final = ("--grace", "1", *FAST)
_FOUND: Final = re.compile(r'^(different|missing|extra) +PK=\{"S": "(.+?)"\}.*?(: repaired)?$', re.MULTILINE)


def tamper_and_repair(stage: Stage) -> int:
    """Edit the replica, let `verify` find and repair the edits, and return their number."""
    stage.begin("Edit the replica by hand: change an item, delete another, add a third")
    done = tamper(stage.pair)
    _check_found(stage.run("verify", *_OPTIONS, ends_with=1), done, repaired=False)
    stage.begin("Repair the edits")
    _check_found(stage.run("verify", "--repair", *_OPTIONS), done, repaired=True)
    if stage.pair.items(stage.pair.replica) != stage.pair.items(stage.pair.source):
        raise DidNotHoldError("The replica must equal the source after the repair, but it does not.")
    return len(done)


def tamper(pair: Pair) -> Mapping[str, str]:
    """Change an item of the replica, delete one and add one. Return what `verify` must report, by key."""
    (changed, item), (deleted, _), *_ = sorted(pair.items(pair.replica).items())
    pair.dynamodb.put_item(TableName=pair.replica, Item=_edited(item))
    pair.dynamodb.delete_item(TableName=pair.replica, Key={"PK": {"S": deleted}})
    added = f"{changed}-copy"
    pair.dynamodb.put_item(TableName=pair.replica, Item={**item, "PK": {"S": added}})
    return {changed: "different", deleted: "missing", added: "extra"}


def _edited(item: Item) -> Item:
    return {**item, "bytessent": {"N": "0"}, "note": {"S": "corrected by hand"}}


def found(output: str, *, repaired: bool) -> Mapping[str, str]:
    """Return the differences that `verify` printed, by key: those that it repaired, or those that it did not."""
    printed = _FOUND.findall(output)
    return {key: difference for difference, key, suffix in printed if bool(suffix) is repaired}


def _check_found(output: str, done: Mapping[str, str], *, repaired: bool) -> None:
    if (printed := found(output, repaired=repaired)) != done:
        verb = "repair" if repaired else "find"
        raise DidNotHoldError(f"`ddbreplica verify` must {verb} {dict(done)}, but printed {dict(printed)}.")
