"""The templates of the recipes in examples/, and their resources."""

from pathlib import Path
from typing import Any, Final

from tests.support.build import ROOT
from tests.support.template import resources

STREAM: Final = "arn:aws:dynamodb:eu-west-1:111122223333:table/tasks/stream/2026-11-01T12:00:00.000"
TOPIC: Final = "arn:aws:sns:eu-west-1:111122223333:ops"
KEY: Final = "arn:aws:kms:eu-west-1:111122223333:key/1234"
EXAMPLES: Final = ("new_item_messages", "task_counts")
FUNCTIONS: Final = {"task_counts": "TaskCountsFunction", "new_item_messages": "NewItemMessagesFunction"}


def template(example: str) -> Path:
    return ROOT / "examples" / example / "template.yaml"


def of_type(example: str, kind: str, **parameters: str) -> dict[str, Any]:
    """Return the properties of the only resource of a type."""
    created = resources(template(example), SourceStreamArn=STREAM, **parameters).values()
    (found,) = (resource["Properties"] for resource in created if resource["Type"] == kind)
    return dict(found)
