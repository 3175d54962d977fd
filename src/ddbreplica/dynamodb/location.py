"""The names and the location of the two tables, as the options of a command give them."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

SOURCE = "logfile"
REPLICA = "logfile_replica"


@dataclass(frozen=True, slots=True)
class Location:
    """The options that give the tables and their Regions. For None the stack, boto3 or the default decides."""

    source: str | None
    replica: str | None
    stack_name: str | None
    region: str | None
    replica_region: str | None
    profile: str | None
    replica_profile: str | None
    endpoint_url: str | None

    @property
    def tables(self) -> str:
        """The options that give another command the same tables, with a space before each."""
        named = {
            "--stack-name": self.stack_name,
            "--source": self.source,
            "--replica": self.replica,
            "--replica-region": self.replica_region,
            "--replica-profile": self.replica_profile,
        }
        return _spelt(named) + self.place

    @property
    def place(self) -> str:
        """The options for the Region and the account of the tables, which the AWS CLI accepts as well."""
        return _spelt(
            {"--region": self.region, "--profile": self.profile, "--endpoint-url": self.endpoint_url}
        )

    @property
    def replica_place(self) -> str:
        """The options for the Region and the account of the replica, for the AWS CLI."""
        return _spelt(
            {
                "--region": self.replica_region or self.region,
                "--profile": self.replica_profile or self.profile,
                "--endpoint-url": self.endpoint_url,
            }
        )


def _spelt(named: Mapping[str, str | None]) -> str:
    return "".join(f" {option} {shlex.quote(value)}" for option, value in named.items() if value is not None)
