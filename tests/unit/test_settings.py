"""settings: the environment variables of the function, and the errors for wrong ones."""

import pytest

from ddbreplica.errors import SettingsError
from ddbreplica.settings import Settings
from tests.support.endpoints import IN_THE_CLEAR, LOCAL

ENOUGH = {"REPLICA_TABLE_NAME": "logfile_replica", "QUARANTINE_BUCKET": "bucket"}
ARN = "arn:aws:dynamodb:eu-west-1:123456789012:table/logfile_replica"
ENDPOINTS = (
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_DYNAMODB",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_SECRETS_MANAGER",
    "AWS_ENDPOINT_URL_STS",
)
LEVELS = "DEBUG, INFO, WARNING, ERROR or CRITICAL"
SWITCH = "true, false, or another word that Powertools accepts: 1, y, yes, t, on, 0, n, no, f, off"
NAMESPACE = (
    "a CloudWatch namespace (1 to 255 letters, digits, spaces and '.-_/#:') that begins neither with ':' nor with"
    " 'AWS/'"
)
DIMENSION = "1 to 255 printable ASCII characters, the first neither a space nor ':'"
RATE = "nothing, or a number from 0 to 1"
ROLE = "arn:aws:iam::222222222222:role/copies/replica-writer"


def test_two_variables_are_enough() -> None:
    assert Settings.from_env(ENOUGH) == Settings(
        replica_table_name="logfile_replica",
        quarantine_bucket="bucket",
        replica_region=None,
        replica_role_arn=None,
        replica_external_id=None,
        replicate_ttl_deletes=True,
        powertools_service_name="ddbreplica",
        powertools_metrics_namespace="ddbreplica",
        aws_lambda_function_name="ddbreplica",
        powertools_log_level="INFO",
        powertools_dev=False,
        powertools_metrics_disabled=None,
    )


def test_every_variable_is_read() -> None:
    env = {
        "REPLICA_TABLE_NAME": ARN,
        "QUARANTINE_BUCKET": "other",
        "REPLICA_REGION": "eu-west-1",
        "REPLICA_ROLE_ARN": ROLE,
        "REPLICA_EXTERNAL_ID": "shared_+=,.@:/-7",
        "REPLICATE_TTL_DELETES": "False",
        "POWERTOOLS_SERVICE_NAME": "copies",
        "POWERTOOLS_METRICS_NAMESPACE": "ours",
        "AWS_LAMBDA_FUNCTION_NAME": "replicator",
        "POWERTOOLS_LOG_LEVEL": "warning",
        "POWERTOOLS_DEV": "yes",
        "POWERTOOLS_METRICS_DISABLED": "Off",
    }

    assert Settings.from_env(env) == Settings(
        ARN,
        "other",
        "eu-west-1",
        ROLE,
        "shared_+=,.@:/-7",
        False,
        "copies",
        "ours",
        "replicator",
        "WARNING",
        True,
        False,
    )


@pytest.mark.parametrize("value", ["mirror", "guarded", ""])
def test_a_variable_that_an_earlier_release_read_is_ignored(value: str) -> None:
    assert Settings.from_env(ENOUGH | {"WRITE_MODE": value}) == Settings.from_env(ENOUGH)


@pytest.mark.parametrize("name", ["logfile_replica", ARN])
def test_the_table_is_its_name_without_the_arn(name: str) -> None:
    assert Settings(name, "bucket").table == "logfile_replica"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("REPLICA_TABLE_NAME", None, "REPLICA_TABLE_NAME is not set. Allowed: a table's name"),
        ("REPLICA_TABLE_NAME", "", "REPLICA_TABLE_NAME is empty. Allowed: a table's name"),
        ("REPLICA_TABLE_NAME", "no table!", "REPLICA_TABLE_NAME is 'no table!'. Allowed: a table's name"),
        ("REPLICA_TABLE_NAME", "arn:aws:s3:::x", "REPLICA_TABLE_NAME is 'arn:aws:s3:::x'"),
        ("QUARANTINE_BUCKET", None, "QUARANTINE_BUCKET is not set. Allowed: the name of an S3 bucket"),
        ("QUARANTINE_BUCKET", "", "QUARANTINE_BUCKET is empty"),
        ("REPLICATE_TTL_DELETES", "maybe", "REPLICATE_TTL_DELETES is 'maybe'. Allowed: true or false"),
        ("REPLICATE_TTL_DELETES", "", "REPLICATE_TTL_DELETES is empty. Allowed: true or false"),
        *(
            (
                name,
                "localhost:4566",
                f"{name} is 'localhost:4566'. Allowed: nothing, an https:// URL",
            )
            for name in ENDPOINTS
        ),
        ("POWERTOOLS_LOG_LEVEL", "loud", f"POWERTOOLS_LOG_LEVEL is 'loud'. Allowed: {LEVELS}."),
        ("POWERTOOLS_LOG_LEVEL", "20", f"POWERTOOLS_LOG_LEVEL is '20'. Allowed: {LEVELS}."),
        ("LOG_LEVEL", "TRACE", f"LOG_LEVEL is 'TRACE'. Allowed: {LEVELS}."),
        (
            "POWERTOOLS_METRICS_DISABLED",
            "maybe",
            f"POWERTOOLS_METRICS_DISABLED is 'maybe'. Allowed: {SWITCH}.",
        ),
        ("POWERTOOLS_METRICS_DISABLED", "", f"POWERTOOLS_METRICS_DISABLED is empty. Allowed: {SWITCH}."),
        ("POWERTOOLS_DEV", "2", f"POWERTOOLS_DEV is '2'. Allowed: {SWITCH}."),
        ("POWERTOOLS_DEBUG", "ja", f"POWERTOOLS_DEBUG is 'ja'. Allowed: {SWITCH}."),
        (
            "POWERTOOLS_LOG_DEDUPLICATION_DISABLED",
            " true",
            f"POWERTOOLS_LOG_DEDUPLICATION_DISABLED is ' true'. Allowed: {SWITCH}.",
        ),
        (
            "POWERTOOLS_LOGGER_SAMPLE_RATE",
            "often",
            f"POWERTOOLS_LOGGER_SAMPLE_RATE is 'often'. Allowed: {RATE}.",
        ),
        ("POWERTOOLS_LOGGER_SAMPLE_RATE", "1.5", f"POWERTOOLS_LOGGER_SAMPLE_RATE is '1.5'. Allowed: {RATE}."),
        ("POWERTOOLS_LOGGER_SAMPLE_RATE", "nan", f"POWERTOOLS_LOGGER_SAMPLE_RATE is 'nan'. Allowed: {RATE}."),
        (
            "POWERTOOLS_METRICS_NAMESPACE",
            "AWS/ours",
            f"POWERTOOLS_METRICS_NAMESPACE is 'AWS/ours'. Allowed: {NAMESPACE}.",
        ),
        (
            "POWERTOOLS_METRICS_NAMESPACE",
            " ",
            "POWERTOOLS_METRICS_NAMESPACE is ' '. Allowed: a CloudWatch namespace",
        ),
        (
            "POWERTOOLS_SERVICE_NAME",
            "größe",
            f"POWERTOOLS_SERVICE_NAME is 'größe'. Allowed: {DIMENSION}.",
        ),
        ("POWERTOOLS_SERVICE_NAME", " ", "POWERTOOLS_SERVICE_NAME is ' '. Allowed: 1 to 255 printable"),
        (
            "REPLICA_REGION",
            "Oregon",
            "REPLICA_REGION is 'Oregon'. Allowed: nothing, or a Region such as eu-west-1.",
        ),
        (
            "REPLICA_ROLE_ARN",
            "arn:x",
            "REPLICA_ROLE_ARN is 'arn:x'. Allowed: nothing, or the ARN of an IAM role.",
        ),
        ("REPLICA_ROLE_ARN", ROLE.replace("role", "user"), "Allowed: nothing, or the ARN of an IAM role."),
        (
            "REPLICA_EXTERNAL_ID",
            "shared",
            "REPLICA_EXTERNAL_ID is 'shared'. Allowed: nothing, unless REPLICA_ROLE_ARN is set.",
        ),
    ],
)
def test_a_refusal_has_the_variable_its_value_and_what_is_allowed(
    name: str, value: str | None, message: str
) -> None:
    env = {key: text for key, text in (ENOUGH | {name: value}).items() if text is not None}

    with pytest.raises(SettingsError) as caught:
        Settings.from_env(env)

    assert message in str(caught.value)


@pytest.mark.parametrize("value", ["x", "two words", "x" * 1225])
def test_an_external_id_has_the_characters_that_sts_allows(value: str) -> None:
    with pytest.raises(
        SettingsError, match=r"Allowed: nothing, or 2 to 1,224 letters, digits and '_\+=,.@:/-'"
    ):
        Settings.from_env(ENOUGH | {"REPLICA_ROLE_ARN": ROLE, "REPLICA_EXTERNAL_ID": value})


def test_an_empty_role_and_external_id_are_none() -> None:
    assert Settings.from_env(ENOUGH | {"REPLICA_ROLE_ARN": "", "REPLICA_EXTERNAL_ID": ""}) == Settings(
        "logfile_replica", "bucket"
    )


def test_the_region_must_be_the_arns() -> None:
    env = ENOUGH | {"REPLICA_TABLE_NAME": ARN}

    assert Settings.from_env(env | {"REPLICA_REGION": "eu-west-1"}).replica_region == "eu-west-1"
    with pytest.raises(
        SettingsError, match=r"REPLICA_REGION is 'eu-central-1'. Allowed: nothing, or the Region of"
    ):
        Settings.from_env(env | {"REPLICA_REGION": "eu-central-1"})


@pytest.mark.parametrize(
    ("env", "level"),
    [
        ({}, "INFO"),
        ({"POWERTOOLS_LOG_LEVEL": "", "LOG_LEVEL": ""}, "INFO"),
        ({"LOG_LEVEL": "debug"}, "DEBUG"),
        ({"POWERTOOLS_LOG_LEVEL": "Error", "LOG_LEVEL": "DEBUG"}, "ERROR"),
        # Other names in Python for two levels, and for no level.
        ({"LOG_LEVEL": "warn"}, "WARN"),
        ({"LOG_LEVEL": "FATAL"}, "FATAL"),
        ({"LOG_LEVEL": "NOTSET"}, "NOTSET"),
    ],
)
def test_the_log_level_is_that_of_powertools(env: dict[str, str], level: str) -> None:
    assert Settings.from_env(ENOUGH | env).powertools_log_level == level


def test_a_log_level_that_has_no_effect_is_not_refused() -> None:
    Settings.from_env(ENOUGH | {"POWERTOOLS_LOG_LEVEL": "INFO", "LOG_LEVEL": "verbose"})


@pytest.mark.parametrize(
    ("env", "emits"),
    [
        ({}, True),
        ({"POWERTOOLS_METRICS_DISABLED": "true"}, False),
        ({"POWERTOOLS_METRICS_DISABLED": "0"}, True),
        ({"POWERTOOLS_DEV": "on"}, False),
        ({"POWERTOOLS_DEV": "off"}, True),
        ({"POWERTOOLS_DEV": "1", "POWERTOOLS_METRICS_DISABLED": "no"}, True),
        ({"POWERTOOLS_DEV": "n", "POWERTOOLS_METRICS_DISABLED": "Y"}, False),
    ],
)
def test_variables_that_turn_metrics_off_are_recognised(env: dict[str, str], emits: bool) -> None:
    assert Settings.from_env(ENOUGH | env).emits_metrics is emits


@pytest.mark.parametrize("rate", ["", "0", "1", "0.25", "1e-3"])
def test_a_sample_rate_is_between_0_and_1(rate: str) -> None:
    Settings.from_env(ENOUGH | {"POWERTOOLS_LOGGER_SAMPLE_RATE": rate})


@pytest.mark.parametrize("name", ENDPOINTS)
@pytest.mark.parametrize(
    "value",
    ["", *LOCAL, "https://vpce-1.s3.eu-west-1.vpce.amazonaws.com", "https://10.0.0.1"],
)
def test_an_endpoint_is_encrypted_or_local(name: str, value: str) -> None:
    Settings.from_env(ENOUGH | {name: value})


@pytest.mark.parametrize(
    "value",
    [
        "http://",
        "https://[",
        "https://a..b",
        "http://-a",
        "http://a:b",
        "http://a:65536",
        "http://\xfc",
        "http://a b",
        *IN_THE_CLEAR,
    ],
)
def test_any_other_endpoint_is_refused_with_its_variable(value: str) -> None:
    with pytest.raises(SettingsError, match="AWS_ENDPOINT_URL_S3 is "):
        Settings.from_env(ENOUGH | {"AWS_ENDPOINT_URL_S3": value})


@pytest.mark.parametrize("name", ENDPOINTS)
def test_the_endpoint_of_every_service_is_checked(name: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} is "):
        Settings.from_env(ENOUGH | {name: IN_THE_CLEAR[0]})
