"""Read and check the environment variables of the function. All defaults are in this module."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ddbreplica.aws.endpoint import is_endpoint, is_private
from ddbreplica.errors import SettingsError

_BOOLEANS = {"true": True, "false": False}
_ON = frozenset({"true", "1", "y", "yes", "t", "on"})
_OFF = frozenset({"false", "0", "n", "no", "f", "off"})
_LEVELS = frozenset({"DEBUG", "INFO", "WARNING", "WARN", "ERROR", "CRITICAL", "FATAL", "NOTSET"})
_TABLE = re.compile(r"[a-zA-Z0-9_.-]{3,255}")
_TABLE_ARN = re.compile(r"arn:[^:]+:dynamodb:[a-z0-9-]+:\d{12}:table/([a-zA-Z0-9_.-]{3,255})")
_REGION = re.compile(r"[a-z]+(-[a-z]+)+-[0-9]+")
_ROLE_ARN = re.compile(r"arn:[^:]+:iam::[0-9]{12}:role/[a-zA-Z0-9_+=,.@/-]{1,576}")
_EXTERNAL_ID = re.compile(r"[a-zA-Z0-9_+=,.@:/-]{2,1224}")
# CloudWatch drops embedded metrics with any other namespace or dimension, and the function gets no error.
_NAMESPACE = re.compile(r"(?!:|AWS/| +$)[a-zA-Z0-9 ._/#:-]{1,255}")
_DIMENSION = re.compile(r"[!-9;-~][ -~]{0,254}")


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of the function. Each field is named after its environment variable.

    `replica_table_name` is a name or an ARN. If `replica_region` is None, it is the function's Region; if
    `replica_role_arn` is None, the function's role writes. Lambda sets `aws_lambda_function_name`. Powertools reads its
    own variables; they are checked here first, since Powertools may refuse them only after a batch was written.
    """

    replica_table_name: str
    quarantine_bucket: str
    replica_region: str | None = None
    replica_role_arn: str | None = None
    replica_external_id: str | None = None
    replicate_ttl_deletes: bool = True
    powertools_service_name: str = "ddbreplica"
    powertools_metrics_namespace: str = "ddbreplica"
    aws_lambda_function_name: str = "ddbreplica"
    powertools_log_level: str = "INFO"
    powertools_dev: bool = False
    powertools_metrics_disabled: bool | None = None

    @property
    def emits_metrics(self) -> bool:
        """Whether Powertools writes metrics. Without them the alarm on quarantined records never goes off."""
        # As Powertools decides: POWERTOOLS_DEV counts only if the other variable is not set.
        if self.powertools_metrics_disabled is None:
            return not self.powertools_dev
        return not self.powertools_metrics_disabled

    @property
    def table(self) -> str:
        """The replica table's name, never its ARN."""
        return self.replica_table_name.rpartition("/")[2]

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Settings":
        """Read and check every variable.

        Raises SettingsError with the variable, its value and what is allowed.
        """
        _check_endpoints(env)
        _check_powertools(env)
        return cls(
            replica_table_name=_table(env),
            # Required: without a quarantine, one poison record blocks its shard until Lambda discards the batch.
            quarantine_bucket=_required(env, "QUARANTINE_BUCKET", allowed="the name of an S3 bucket"),
            replica_region=_region(env),
            replica_role_arn=_role(env),
            replica_external_id=_external_id(env),
            replicate_ttl_deletes=_boolean(env, "REPLICATE_TTL_DELETES", default=True),
            powertools_service_name=_service(env),
            powertools_metrics_namespace=_namespace(env),
            aws_lambda_function_name=env.get("AWS_LAMBDA_FUNCTION_NAME") or "ddbreplica",
            powertools_log_level=_level(env),
            powertools_dev=_switch(env, "POWERTOOLS_DEV") or False,
            powertools_metrics_disabled=_switch(env, "POWERTOOLS_METRICS_DISABLED"),
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
        raise _refused("REPLICA_EXTERNAL_ID", value, "nothing, unless REPLICA_ROLE_ARN is set")
    if value and not _EXTERNAL_ID.fullmatch(value):
        raise _refused("REPLICA_EXTERNAL_ID", value, "nothing, or 2 to 1,224 letters, digits and '_+=,.@:/-'")
    return value


def _boolean(env: Mapping[str, str], name: str, *, default: bool) -> bool:
    value = env.get(name, str(default)).lower()
    # Never guessed: an archive whose setting is read as true by mistake loses the items that expire.
    if value not in _BOOLEANS:
        raise _refused(name, env[name], "true or false")
    return _BOOLEANS[value]


def _check_endpoints(env: Mapping[str, str]) -> None:
    """Check the endpoints that the AWS SDK reads from the environment.

    They are checked at the first invocation, since the client of S3 is created only when a record is quarantined.
    """
    for service in ("", "_DYNAMODB", "_S3", "_SECRETS_MANAGER", "_STS"):
        name = f"AWS_ENDPOINT_URL{service}"
        value = env.get(name)
        if value and not (is_endpoint(value) and is_private(value)):
            raise _refused(name, value, "nothing, an https:// URL with a host, or http:// and a local host")


def _check_powertools(env: Mapping[str, str]) -> None:
    """Check the variables that Powertools alone reads, and that therefore have no field."""
    for name in ("POWERTOOLS_DEBUG", "POWERTOOLS_LOG_DEDUPLICATION_DISABLED"):
        _switch(env, name)
    rate = env.get("POWERTOOLS_LOGGER_SAMPLE_RATE") or "0"
    if not _is_share(rate):
        raise _refused("POWERTOOLS_LOGGER_SAMPLE_RATE", rate, "nothing, or a number from 0 to 1")


def _switch(env: Mapping[str, str], name: str) -> bool | None:
    """Return the value of a switch of Powertools, or None if it is not set."""
    value = env.get(name)
    # Powertools raises ValueError for any other word, and names neither the variable nor the allowed words.
    if value is not None and value.lower() not in _ON | _OFF:
        allowed = "true, false, or another word that Powertools accepts: 1, y, yes, t, on, 0, n, no, f, off"
        raise _refused(name, value, allowed)
    return None if value is None else value.lower() in _ON


def _is_share(value: str) -> bool:
    try:
        return 0 <= float(value) <= 1
    except ValueError:
        return False


def _level(env: Mapping[str, str]) -> str:
    name = "POWERTOOLS_LOG_LEVEL" if env.get("POWERTOOLS_LOG_LEVEL") else "LOG_LEVEL"
    level = env.get(name) or "INFO"
    if level.upper() not in _LEVELS:
        raise _refused(name, level, "DEBUG, INFO, WARNING, ERROR or CRITICAL")
    return level.upper()


def _service(env: Mapping[str, str]) -> str:
    value = env.get("POWERTOOLS_SERVICE_NAME") or "ddbreplica"
    if not _DIMENSION.fullmatch(value):
        allowed = "1 to 255 printable ASCII characters, the first neither a space nor ':'"
        raise _refused("POWERTOOLS_SERVICE_NAME", value, allowed)
    return value


def _namespace(env: Mapping[str, str]) -> str:
    value = env.get("POWERTOOLS_METRICS_NAMESPACE") or "ddbreplica"
    if not _NAMESPACE.fullmatch(value):
        allowed = (
            "a CloudWatch namespace (1 to 255 letters, digits, spaces and '.-_/#:') that begins neither with ':'"
            " nor with 'AWS/'"
        )
        raise _refused("POWERTOOLS_METRICS_NAMESPACE", value, allowed)
    return value
