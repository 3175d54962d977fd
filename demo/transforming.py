"""Make a copy that is not the same: fewer attributes, and an index that the source does not have."""

import json
from collections import Counter
from dataclasses import replace
from typing import Final

from ddbreplica_cli.runs.transform.deployable import parameter
from demo.deploy import deploy
from demo.errors import DidNotHoldError
from demo.pair import INDEX, wait_until
from demo.stage import FAST, Stage

_RULES: Final = {
    "concat": {"GSI_1_PK": ["status#", {"attribute": "responsecode"}]},
    "drop": ["url", "useragent"],
}


def transform(stage: Stage) -> None:
    """Deploy a second replica of the source with a transform, query its index, and compare it with `verify`."""
    stage.begin("Make another copy, without URLs and user agents, and with an index by status")
    stage.say(f"Transform={json.dumps(_RULES)}")
    stream = stage.stack.outputs["SourceStreamArn"]
    names = {"SourceStreamArn": stream, "ReplicaTableName": "logfile_by_status"}
    copied = replace(stage, stack=deploy(stage.aws, "by-status", **names, Transform=parameter(_RULES)))
    pair = copied.pair
    source = pair.items(pair.source)
    # The stream has all that was ever written to the source of the demo.
    wait_until(lambda: pair.items(pair.replica).keys() == source.keys(), "The copy has the source's items")
    (status, count), *_ = Counter(item["responsecode"]["N"] for item in source.values()).most_common()
    _check_index(copied, status, count)
    copied.run("verify", *FAST)


def _check_index(copied: Stage, status: str, count: int) -> None:
    found = copied.pair.query_index(f"status#{status}")
    if len(found) != count:
        raise DidNotHoldError(
            f"{INDEX} must have {count} rows with the status {status}, but it has {len(found)}."
        )
    item = copied.pair.item(copied.pair.replica, min(found)) or {}
    if {"url", "useragent"} & item.keys():
        raise DidNotHoldError(f"{min(found)} must have no URL and no user agent, but it has {sorted(item)}.")
    copied.say(f"{count:,} rows with the status {status} in {INDEX}. One of them has the attributes")
    copied.say(f"{', '.join(sorted(item))}.")
