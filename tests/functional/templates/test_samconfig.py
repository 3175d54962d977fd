"""The environments of samconfig.toml, which `sam deploy --config-env` deploys."""

import tomllib

import pytest

from tests.support.template import TEMPLATE, defaults, refusals


def overrides(environment: str) -> dict[str, str]:
    config = tomllib.loads((TEMPLATE.parent / "samconfig.toml").read_text("utf-8"))
    pairs = config[environment]["deploy"]["parameters"].get("parameter_overrides", [])
    return dict(pair.split("=", 1) for pair in pairs)


def test_samconfig_has_three_environments_and_none_chooses_a_region() -> None:
    config = tomllib.loads((TEMPLATE.parent / "samconfig.toml").read_text("utf-8"))
    assert config.pop("version") == 0.1
    assert sorted(config) == ["default", "prod", "workshop"]
    for environment in config.values():
        common = {"capabilities": "CAPABILITY_IAM", "resolve_s3": True, "confirm_changeset": True}
        assert common.items() <= environment["deploy"]["parameters"].items()
        assert "region" not in str(environment)
        stack = environment["global"]["parameters"]["stack_name"]
        assert environment["deploy"]["parameters"]["s3_prefix"] == stack
    assert config["default"]["global"]["parameters"]["stack_name"] == "ddbreplica"
    assert config["workshop"]["deploy"]["parameters"]["tags"] == [
        "workshop-design-patterns=targeted-for-cleanup",
    ]


@pytest.mark.parametrize("environment", ["default", "workshop", "prod"])
def test_samconfig_sets_only_existing_parameters_and_no_empty_value(environment: str) -> None:
    named = overrides(environment)
    assert set(named) <= set(defaults())
    assert all(named.values())


def test_the_environments_default_and_workshop_are_accepted_unchanged() -> None:
    assert refusals(**overrides("default")) == []
    assert refusals(**overrides("workshop")) == []
    assert overrides("workshop") == {"TableDeletionPolicy": "Delete"}


def test_the_environment_prod_is_refused_until_every_placeholder_is_replaced() -> None:
    prod = overrides("prod")
    assert refusals(**prod) == [
        "SourceTableName must be 3 to 255 letters, digits, underscores, hyphens or dots.",
        "ReplicaTableName must be 3 to 255 letters, digits, underscores, hyphens or dots.",
        "AlarmEmail must be empty or one email address.",
    ]
    named = prod | {
        "SourceTableName": "orders",
        "ReplicaTableName": "orders-copy",
        "AlarmEmail": "ops@example.com",
    }
    assert refusals(**named) == []
    assert {name: named[name] for name in ("BillingMode", "DeletionProtection", "TableDeletionPolicy")} == {
        "BillingMode": "PAY_PER_REQUEST",
        "DeletionProtection": "true",
        "TableDeletionPolicy": "Retain",
    }
