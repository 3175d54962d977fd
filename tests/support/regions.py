"""All Regions that botocore knows, in all partitions."""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from botocore.session import get_session


class Region(NamedTuple):
    """A Region and its partition, as in an ARN."""

    partition: str
    name: str


def _of_partitions() -> Iterator[Region]:
    data: Any = get_session().get_data("partitions")
    yield from (Region(part["id"], name) for part in data["partitions"] for name in part["regions"])


def _of_endpoints() -> Iterator[Region]:
    data: Any = get_session().get_data("endpoints")
    yield from (Region(part["partition"], name) for part in data["partitions"] for name in part["regions"])


REGIONS: Final = sorted(
    region for region in {*_of_partitions(), *_of_endpoints()} if not region.name.endswith("-global")
)
"""All Regions. `aws-global` and similar names are endpoints of global services, not Regions."""
