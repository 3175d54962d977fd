"""Return the parts of an ARN. Pure functions."""

_LAST_PART = 5
"""The index of `table/NAME` in `arn:PARTITION:dynamodb:REGION:ACCOUNT:table/NAME`."""


def region_of(arn: str) -> str | None:
    """Return the Region of an ARN, or None for a name or anything else that is not an ARN with a Region."""
    return _part_of(arn, 3)


def account_of(arn: str) -> str | None:
    """Return the account of an ARN, or None for a name or anything else that is not an ARN with an account."""
    return _part_of(arn, 4)


def function_of(arn: str) -> str:
    """Return a function's ARN without its version or alias."""
    return ":".join(arn.split(":")[:7])


def _part_of(arn: str, place: int) -> str | None:
    parts = arn.split(":")
    return parts[place] or None if len(parts) > _LAST_PART else None
