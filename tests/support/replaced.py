"""Find the resources of a template that an update to another template would replace or remove.

The resource schemas that CloudFormation publishes list the properties that cannot be changed in place. They are part of
cfn-lint. https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-updating-stacks-update-behaviors.html
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

from cfnlint.schema import PROVIDER_SCHEMA_MANAGER  # type: ignore[import-untyped]

from tests.support.template import REGION

_SECTIONS: Final = ("createOnlyProperties", "conditionalCreateOnlyProperties")
_MORE: Final = {
    # According to its page, but not its schema: "If you change an existing AttributeDefinition, the table is replaced".
    "AWS::DynamoDB::Table": ("/properties/AttributeDefinitions",),
}


def replaced(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return a line for each resource that would be replaced or removed, with the reason."""
    return [
        line
        for logical_id, resource in old.items()
        for line in _why(logical_id, resource, new.get(logical_id))
    ]


def _why(logical_id: str, old: Mapping[str, Any], new: Mapping[str, Any] | None) -> Iterator[str]:
    if new is None:
        yield f"{logical_id} is removed"
    elif old["Type"] != new["Type"]:
        yield f"{logical_id} is now of type {new['Type']}"
    else:
        for pointer in _fixed(old["Type"]):
            before, after = _at(pointer, old), _at(pointer, new)
            if before != after:
                yield f"{logical_id}{pointer.removeprefix('/properties')}: {before!r} → {after!r}"


@cache
def _fixed(resource_type: str) -> tuple[str, ...]:
    """Return pointers to the properties that CloudFormation cannot change in place."""
    schema: Mapping[str, Any] = PROVIDER_SCHEMA_MANAGER.get_resource_schema(REGION, resource_type).schema
    published = (pointer for section in _SECTIONS for pointer in schema.get(section, ()))
    return (*published, *_MORE.get(resource_type, ()))


def _at(pointer: str, resource: Mapping[str, Any]) -> Any:
    value: Any = resource.get("Properties", {})
    for part in pointer.split("/")[2:]:
        value = value.get(part) if isinstance(value, dict) else None
    return value
