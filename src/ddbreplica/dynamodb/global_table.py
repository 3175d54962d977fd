"""Whether the source of an archive is a global table. Pure.

Time to live deletes an item in one Region, and the delete is replicated to the others without the identity by which
a stream record says that the item expired. There it cannot be told from a delete by a user.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/globaltables-how-it-works.html
"""

from collections.abc import Mapping
from typing import Any

from ddbreplica.dynamodb.connection import region_of


def replicas_of(description: Mapping[str, Any]) -> str | None:
    """Return in which other Regions a table has replicas, for reading; None if it has none."""
    replicas = description.get("Replicas")
    if replicas is None:  # version 2017.11.29 lists its replicas elsewhere
        return "other Regions" if description.get("GlobalTableVersion") else None
    here = region_of(description["TableArn"])
    return ", ".join(sorted(each["RegionName"] for each in replicas if each["RegionName"] != here)) or None


def archive_warning(source: str, replicas: str) -> str:
    """Return what an archive of this global table loses, without a full stop."""
    return (
        f"the source {source} is a global table with replicas in {replicas}, and the replica is an archive: an item"
        " that expires in another Region is deleted from the archive, because its replicated delete does not say"
        " that it expired"
    )
