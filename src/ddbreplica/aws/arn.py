"""The parts of an ARN. Pure."""

_LAST_PART = 5
"""Of `arn:PARTITION:dynamodb:REGION:ACCOUNT:table/NAME`, counted from 0."""


def region_of(arn: str) -> str | None:
    """The Region of anything's ARN; of a name, and of what only looks like an ARN, there is none to know."""
    return _part_of(arn, 3)


def account_of(arn: str) -> str | None:
    """The account likewise."""
    return _part_of(arn, 4)


def function_of(arn: str) -> str:
    """Return a function's ARN without its version or alias."""
    return ":".join(arn.split(":")[:7])


def _part_of(arn: str, place: int) -> str | None:
    parts = arn.split(":")
    return parts[place] or None if len(parts) > _LAST_PART else None
