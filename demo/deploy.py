"""Deploy template.yaml with the function's code as a stack, as `sam deploy` does."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from botocore.exceptions import WaiterError
from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

from demo.bundle import bundle
from demo.embedded import ROOT, EmbeddedAws
from demo.errors import DeployError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.type_defs import ParameterTypeDef

TEMPLATE: Final = ROOT / "template.yaml"
REPLICA_TEMPLATE: Final = ROOT / "replica.yaml"

STACK: Final = "ddbreplica"

_ARTEFACTS: Final = "ddbreplica-artefacts"
_FUNCTIONS: Final = ("AWS::Serverless::Function", "AWS::Lambda::Function")
_COMPOSITE: Final = "AWS::CloudWatch::CompositeAlarm"


@dataclass(frozen=True, slots=True)
class Stack:
    """A deployed stack: its name, the number of its resources, and its outputs."""

    name: str
    resources: int
    outputs: Mapping[str, str]

    @property
    def source(self) -> str:
        """Return the source table's name."""
        return self.outputs["SourceTableName"]

    @property
    def replica(self) -> str:
        """Return the replica table's name."""
        return self.outputs["ReplicaTableName"]

    @property
    def quarantine_bucket(self) -> str:
        """Return the name of the quarantine bucket."""
        return self.outputs["QuarantineBucketName"]


@dataclass(frozen=True, slots=True)
class Package:
    """An uploaded template with its code: its URL, and the names of its parameters."""

    url: str
    parameters: frozenset[str]


def deploy(
    aws: EmbeddedAws, name: str = STACK, package: Package | None = None, /, **parameters: str
) -> Stack:
    """Create a stack from a package and wait for it. The default is a package of the working tree.

    Parameters that are not given have their defaults. Raises DeployError with the events of the failure.
    """
    aws.cloudformation.create_stack(
        StackName=name,
        TemplateURL=(package or upload(aws)).url,
        Parameters=_given(parameters),
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    return _finished(aws, name, "stack_create_complete")


def deploy_replica(aws: EmbeddedAws, name: str = STACK, **parameters: str) -> Stack:
    """Create a stack from replica.yaml and wait for it."""
    aws.cloudformation.create_stack(
        StackName=name,
        TemplateBody=REPLICA_TEMPLATE.read_text(),
        Parameters=_given(parameters),
        Capabilities=["CAPABILITY_IAM"],
    )
    return _finished(aws, name, "stack_create_complete")


def update(
    aws: EmbeddedAws, name: str = STACK, package: Package | None = None, /, **parameters: str
) -> Stack:
    """Update a stack's package, or some of its parameters, and wait for it.

    The other parameters keep their values; those that the package does not have are left out.
    """
    described = aws.cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    present = {each["ParameterKey"]: each["ParameterValue"] for each in described["Parameters"]}
    known = package.parameters if package else present.keys()
    template: Any = {"TemplateURL": package.url} if package else {"UsePreviousTemplate": True}
    aws.cloudformation.update_stack(
        StackName=name,
        **template,
        Parameters=_given({key: value for key, value in (present | parameters).items() if key in known}),
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    return _finished(aws, name, "stack_update_complete")


def _given(parameters: Mapping[str, str]) -> "Sequence[ParameterTypeDef]":
    return [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]


def _finished(
    aws: EmbeddedAws, name: str, change: Literal["stack_create_complete", "stack_update_complete"]
) -> Stack:
    try:
        waiter: Any = aws.cloudformation.get_waiter(change)
        waiter.wait(StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    except WaiterError as error:
        raise DeployError(f"The deployment of the stack {name} failed:\n{_failures(aws, name)}") from error
    described = aws.cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}
    resources = aws.cloudformation.describe_stack_resources(StackName=name)["StackResources"]
    return Stack(name, len(resources), outputs)


def upload(
    aws: EmbeddedAws,
    template: Mapping[str, Any] | None = None,
    *,
    code: Path | None = None,
    name: str = "packaged",
) -> Package:
    """Upload a template and its code as `sam package` does. Both default to those of the working tree.

    `code` is a directory such as src/. Packages of different names do not overwrite each other.
    """
    template = template or yaml_parse(TEMPLATE.read_text())
    zipped = bundle(aws.home / f"{name}.zip", source=code) if code else bundle(aws.home / f"{name}.zip")
    aws.s3.create_bucket(Bucket=_ARTEFACTS)
    aws.s3.upload_file(str(zipped), _ARTEFACTS, zipped.name)
    spared = spare(template)
    for resource in spared["Resources"].values():
        if resource["Type"] in _FUNCTIONS:
            resource["Properties"] |= _code(template, zipped.name)
        elif "DefinitionUri" in resource["Properties"]:
            resource["Properties"]["DefinitionUri"] = _definition(
                aws, resource["Properties"]["DefinitionUri"]
            )
    aws.s3.put_object(Bucket=_ARTEFACTS, Key=f"{name}.json", Body=json.dumps(spared).encode())
    url = f"{aws.endpoint_url}/{_ARTEFACTS}/{name}.json"
    return Package(url, frozenset(template["Parameters"]))


def _definition(aws: EmbeddedAws, path: str) -> str:
    """Upload the definition of a state machine, and return its URI."""
    key = Path(path).name
    aws.s3.upload_file(str(ROOT / path), _ARTEFACTS, key)
    return f"s3://{_ARTEFACTS}/{key}"


def _code(template: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return the property that locates the function's code: SAM's for a SAM template, else CloudFormation's."""
    if "Transform" in template:
        return {"CodeUri": f"s3://{_ARTEFACTS}/{key}"}
    return {"Code": {"S3Bucket": _ARTEFACTS, "S3Key": key}}


def spare(template: Mapping[str, Any]) -> dict[str, Any]:
    """Return the template without composite alarms and metric math, which the embedded AWS rejects."""
    resources = template["Resources"]
    plain = {name: each for name, each in resources.items() if each["Type"] != _COMPOSITE}
    text = json.dumps(
        {**template, "Resources": plain}, default=str
    )  # YAML reads a policy's version as a date
    for composite in resources.keys() - plain.keys():
        text = text.replace(composite, "MappingStalledAlarm")
    spared: dict[str, Any] = json.loads(text)
    for resource in spared["Resources"].values():
        _spare_metric_math(resource["Properties"])
    return spared


def _spare_metric_math(properties: dict[str, Any]) -> None:
    """Replace an alarm's expression by the metric that it uses."""
    stats = [query["MetricStat"] for query in properties.pop("Metrics", ()) if "MetricStat" in query]
    for stat in stats:
        properties |= stat["Metric"] | {"Statistic": stat["Stat"], "Period": stat["Period"]}


def _failures(aws: EmbeddedAws, name: str) -> str:
    events = aws.cloudformation.describe_stack_events(StackName=name)["StackEvents"]
    failed = [event for event in events if event.get("ResourceStatus", "").endswith("FAILED")]
    lines = [
        f"  {event.get('LogicalResourceId')}: {event.get('ResourceStatusReason', 'no reason given')}"
        for event in reversed(failed or events)
    ]
    return "\n".join(lines)
