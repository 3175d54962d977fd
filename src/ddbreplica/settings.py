"""The environment → Settings. The only module that reads it, and all defaults stand here."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ddbreplica.errors import SettingsError

WriteMode: TypeAlias = Literal["mirror"]

_BOOLEANS = {"true": True, "false": False}
_TABLE = re.compile(r"[a-zA-Z0-9_.-]{3,255}")
_TABLE_ARN = re.compile(r"arn:[^:]+:dynamodb:[a-z0-9-]+:\d{12}:table/([a-zA-Z0-9_.-]{3,255})")
_REGION = re.compile(r"[a-z]+(-[a-z]+)+-[0-9]+")
_ROLE_ARN = re.compile(r"arn:[^:]+:iam::[0-9]{12}:role/[a-zA-Z0-9_+=,.@/-]{1,576}")
_EXTERNAL_ID = re.compile(r"[a-zA-Z0-9_+=,.@:/-]{2,1224}")


@dataclass(frozen=True, slots=True)
class Settings:
    """What an owner can set. Each field is named after its environment variable.

    `replica_table_name` is a name or an ARN; `replica_region` None means the function's own Region, and
    `replica_role_arn` None its own role. Lambda sets `aws_lambda_function_name`.
    """

    replica_table_name: str
    quarantine_bucket: str
    replica_region: str | None = None
    replica_role_arn: str | None = None
    replica_external_id: str | None = None
    replicate_ttl_deletes: bool = True
    write_mode: WriteMode = "mirror"
    powertools_service_name: str = "ddbreplica"
    powertools_metrics_namespace: str = "ddbreplica"
    aws_lambda_function_name: str = "ddbreplica"

    @property
    def table(self) -> str:
        """The replica table's name, never its ARN."""
        return self.replica_table_name.rpartition("/")[2]

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Settings":
        """Read and check every variable.

        Raises SettingsError, which names the variable, its value and what is allowed.
        """
        return cls(
            replica_table_name=_table(env),
            quarantine_bucket=_required(env, "QUARANTINE_BUCKET", allowed="the name of an S3 bucket"),
            replica_region=_region(env),
            replica_role_arn=_role(env),
            replica_external_id=_external_id(env),
            replicate_ttl_deletes=_boolean(env, "REPLICATE_TTL_DELETES", default=True),
            write_mode=_write_mode(env),
            powertools_service_name=env.get("POWERTOOLS_SERVICE_NAME") or "ddbreplica",
            powertools_metrics_namespace=env.get("POWERTOOLS_METRICS_NAMESPACE") or "ddbreplica",
            aws_lambda_function_name=env.get("AWS_LAMBDA_FUNCTION_NAME") or "ddbreplica",
        )


def _refused(name: str, value: str | None, allowed: str) -> SettingsError:
    what = f"is {value!r}" if value else "is empty" if value == "" else "is not set"
    return SettingsError(f"The environment variable {name} {what}.", hint=f"Allowed: {allowed}.")


def _required(env: Mapping[str, str], name: str, *, allowed: str) -> str:
    value = env.get(name)
    if not value:
        raise _refused(name, value, allowed)
    return value


def _table(env: Mapping[str, str]) -> str:
    allowed = "a table's name (3 to 255 letters, digits, '_', '-' and '.') or its ARN"
    value = _required(env, "REPLICA_TABLE_NAME", allowed=allowed)
    if not _TABLE.fullmatch(value) and not _TABLE_ARN.fullmatch(value):
        raise _refused("REPLICA_TABLE_NAME", value, allowed)
    return value


def _region(env: Mapping[str, str]) -> str | None:
    region, table = env.get("REPLICA_REGION") or None, env["REPLICA_TABLE_NAME"]
    if region and not _REGION.fullmatch(region):
        raise _refused("REPLICA_REGION", region, "nothing, or a Region such as eu-west-1")
    if region and table.startswith("arn:") and table.split(":")[3] != region:
        raise _refused("REPLICA_REGION", region, f"nothing, or the Region of {table}")
    return region


def _role(env: Mapping[str, str]) -> str | None:
    value = env.get("REPLICA_ROLE_ARN") or None
    if value and not _ROLE_ARN.fullmatch(value):
        raise _refused("REPLICA_ROLE_ARN", value, "nothing, or the ARN of an IAM role")
    return value


def _external_id(env: Mapping[str, str]) -> str | None:
    value = env.get("REPLICA_EXTERNAL_ID") or None
    if value and not env.get("REPLICA_ROLE_ARN"):
        raise _refused(
            "REPLICA_EXTERNAL_ID", value, "nothing, unless REPLICA_ROLE_ARN names a role to assume"
        )
    if value and not _EXTERNAL_ID.fullmatch(value):
        raise _refused("REPLICA_EXTERNAL_ID", value, "nothing, or 2 to 1,224 letters, digits and '_+=,.@:/-'")
    return value


def _boolean(env: Mapping[str, str], name: str, *, default: bool) -> bool:
    value = env.get(name, str(default)).lower()
    if value not in _BOOLEANS:
        raise _refused(name, env[name], "true or false")
    return _BOOLEANS[value]


def _write_mode(env: Mapping[str, str]) -> WriteMode:
    value = env.get("WRITE_MODE", "mirror")
    if value == "guarded":
        raise _refused("WRITE_MODE", value, "mirror; this version does not have guarded yet")
    if value != "mirror":
        raise _refused("WRITE_MODE", value, "mirror")
    return "mirror"
