"""Evaluate a template with parameter values as CloudFormation would."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import boto3
from cfnlint.decode import decode  # type: ignore[import-untyped]
from samtranslator.parser.parser import Parser  # type: ignore[import-untyped]
from samtranslator.translator.translator import Translator  # type: ignore[import-untyped]

ROOT: Final = Path(__file__).parents[2]
TEMPLATE: Final = ROOT / "template.yaml"
REPLICA_TEMPLATE: Final = ROOT / "replica.yaml"
REGION: Final = "eu-west-1"
ACCOUNT: Final = "111122223333"
UPLOADED: Final = {"CodeUri": "bundle.zip", "ContentUri": "bundle.zip", "DefinitionUri": "bulk.asl.json"}
"""The properties with local paths, and the name of the object that each is uploaded as."""

_NOTHING: Final = "<AWS::NoValue>"


def load(path: Path | None = None, /) -> dict[str, Any]:
    """Return a template, TEMPLATE by default, with its intrinsic functions in their long form."""
    template: dict[str, Any] = json.loads(_as_json(path or TEMPLATE))
    return template


@cache
def _as_json(path: Path) -> str:
    template, errors = decode(str(path))
    if template is None or errors:
        message = f"{path.name} cannot be read: {errors}"
        raise ValueError(message)
    return json.dumps(template)


def defaults(path: Path = TEMPLATE, /) -> dict[str, str | int]:
    """Return the default of every parameter that has one."""
    parameters = load(path)["Parameters"].items()
    return {name: parameter["Default"] for name, parameter in parameters if "Default" in parameter}


def expand(path: Path = TEMPLATE, /, **parameters: str | int) -> dict[str, Any]:
    """Return the template after the SAM transform, if it uses the transform."""
    expanded: dict[str, Any] = json.loads(
        _expanded(json.dumps(load(path)), tuple(sorted(parameters.items())))
    )
    return expanded


@cache
def _expanded(text: str, parameters: tuple[tuple[str, str | int], ...]) -> str:
    """Return the transformed template as text. It is cached, because the transform takes a quarter of a second."""
    template = json.loads(text)
    if "Transform" not in template:
        return text
    # `sam package` replaces the local paths by uploaded objects before the transform.
    for resource in template["Resources"].values():
        for uri in UPLOADED.keys() & resource.get("Properties", {}).keys():
            resource["Properties"][uri] = f"s3://bucket/{UPLOADED[uri]}"
    # samtranslator's function `transform` would read the Region from the environment, so a session is passed here.
    translator = Translator(None, Parser(), boto_session=boto3.Session(region_name=REGION))
    return json.dumps(translator.translate(template, parameter_values=dict(parameters)))


def deploy(path: Path = TEMPLATE, /, **parameters: str | int) -> dict[str, Any]:
    """Return the transformed template with its conditions evaluated and its parameters filled in.

    Values that only AWS knows become placeholders: `!Ref A` becomes `<A>`, and `!GetAtt A.Arn` becomes `<A.Arn>`.
    """
    return _filled_in(_Resolver, path, parameters)


def decide(path: Path = TEMPLATE, /, **parameters: str | int) -> dict[str, Any]:
    """Return the same as `deploy`, but keep intrinsic functions whose values only AWS knows."""
    return {"AWSTemplateFormatVersion": "2010-09-09", **_filled_in(_Decider, path, parameters)}


def _filled_in(kind: "type[_Resolver]", path: Path, parameters: Mapping[str, str | int]) -> dict[str, Any]:
    template = expand(path, **parameters)
    conditions: dict[str, bool] = {}
    resolve = kind({**defaults(path), **parameters}, conditions)
    for name, condition in template["Conditions"].items():
        conditions[name] = resolve(condition)
    return {
        section: {
            name: resolve({key: value for key, value in entry.items() if key != "Condition"})
            for name, entry in template[section].items()
            if conditions.get(entry.get("Condition"), True)
        }
        for section in ("Resources", "Outputs")
    }


def resources(path: Path = TEMPLATE, /, **parameters: str | int) -> dict[str, Any]:
    """Return the resources that CloudFormation would create, by logical ID."""
    created: dict[str, Any] = deploy(path, **parameters)["Resources"]
    return created


def properties(logical_id: str, path: Path = TEMPLATE, /, **parameters: str | int) -> dict[str, Any]:
    """Return the properties of one of these resources."""
    found: dict[str, Any] = resources(path, **parameters)[logical_id]["Properties"]
    return found


def refusals(path: Path = TEMPLATE, /, **parameters: str | int) -> list[str]:
    """Return the errors of CloudFormation for the parameters: unknown names, else violated constraints, else rules."""
    template = load(path)
    if unknown := sorted(parameters.keys() - template["Parameters"].keys()):
        return [f"Parameters: [{', '.join(unknown)}] do not exist in the template"]
    values = defaults(path) | parameters
    resolver = _Resolver(values, {})
    constraints = [
        f"{name} {parameter['ConstraintDescription']}"
        for name, parameter in template["Parameters"].items()
        if not _is_allowed(values[name], parameter)
    ]
    rules = [
        assertion["AssertDescription"]
        for rule in template["Rules"].values()
        if resolver(rule.get("RuleCondition", True))
        for assertion in rule["Assertions"]
        if not resolver(assertion["Assert"])
    ]
    return constraints or rules


def _is_allowed(value: str | int, parameter: Mapping[str, Any]) -> bool:
    if parameter["Type"] == "Number":
        number = int(value)
        allowed = [int(choice) for choice in parameter.get("AllowedValues", [number])]
        return number in allowed and parameter.get("MinValue", number) <= number <= parameter.get(
            "MaxValue", number
        )
    text = str(value)
    fits = len(text) <= int(parameter.get("MaxLength", len(text)))
    matches = re.fullmatch(parameter.get("AllowedPattern", ".*"), text) is not None
    return fits and matches and value in parameter.get("AllowedValues", [value])


@dataclass(frozen=True, slots=True)
class _Resolver:
    """Evaluates the intrinsic functions that the templates use."""

    parameters: Mapping[str, str | int]
    conditions: Mapping[str, bool]

    def __call__(self, node: Any) -> Any:
        match node:
            case list():
                return [value for value in map(self, node) if value != _NOTHING]
            case dict() if len(node) == 1 and (name := next(iter(node))) in _FUNCTIONS:
                return _FUNCTIONS[name](self, node[name])
            case dict():
                return {key: found for key, value in node.items() if (found := self(value)) != _NOTHING}
        return node

    def ref(self, name: str) -> Any:
        return self.known(name, f"<{name}>")

    def get(self, path: list[str]) -> Any:
        return f"<{'.'.join(path)}>"

    def known(self, name: str, otherwise: Any) -> Any:
        pseudo = {
            "AWS::AccountId": ACCOUNT,
            "AWS::NoValue": _NOTHING,
            "AWS::Partition": "aws",
            "AWS::Region": REGION,
            "AWS::StackName": "ddbreplica",
        }
        return (pseudo | dict(self.parameters)).get(name, otherwise)

    def choose(self, argument: list[Any]) -> Any:
        condition, yes, no = argument
        return self(yes if self.conditions[condition] else no)

    def sub(self, argument: str | list[Any]) -> Any:
        text, extra = (argument, {}) if isinstance(argument, str) else argument
        known = self(extra)
        return self.unescaped(
            _VARIABLE.sub(lambda match: str(known.get(match[1], self.known(match[1], f"<{match[1]}>"))), text)
        )

    def unescaped(self, text: str) -> str:
        return text.replace("${!", "${")

    def split(self, argument: list[Any]) -> Any:
        separator, text = argument
        # A stream's ARN ends in table/NAME/stream/LABEL.
        arn = re.sub(r"^<(\w+)\.StreamArn>$", r"table/<\1>/stream/<\1 label>", self(text))
        return arn.split(separator)

    def select(self, argument: list[Any]) -> Any:
        index, values = argument
        return self(values)[int(index)]


class _Decider(_Resolver):
    """Evaluates what depends only on the parameters, and keeps the other intrinsic functions."""

    def ref(self, name: str) -> Any:
        return self.known(name, {"Ref": name})

    def get(self, path: list[str]) -> Any:
        return {"Fn::GetAtt": path}

    def sub(self, argument: str | list[Any]) -> Any:
        text, extra = (argument, {}) if isinstance(argument, str) else argument
        values = self(extra)
        # A value that is inserted into a remaining Fn::Sub must not be read as a variable.
        plain = {name: str(value).replace("${", "${!") for name, value in values.items() if _is_plain(value)}
        left = {name: value for name, value in values.items() if name not in plain}
        filled = _VARIABLE.sub(lambda match: str(plain.get(match[1], self.known(match[1], match[0]))), text)
        if not _VARIABLE.search(filled):
            return self.unescaped(filled)
        return {"Fn::Sub": [filled, left] if left else filled}

    def select(self, argument: list[Any]) -> Any:
        index, values = argument
        found = self(values)
        return found[int(index)] if isinstance(found, list) else {"Fn::Select": [index, found]}

    def split(self, argument: list[Any]) -> Any:
        separator, text = argument
        found = self(text)
        return found.split(separator) if isinstance(found, str) else {"Fn::Split": [separator, found]}


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int)


_VARIABLE: Final = re.compile(r"\$\{([^}!]+)\}")
_FUNCTIONS: Final[Mapping[str, Callable[[_Resolver, Any], Any]]] = {
    "Ref": lambda resolve, name: resolve.ref(name),
    "Condition": lambda resolve, name: resolve.conditions[name],
    "Fn::GetAtt": lambda resolve, path: resolve.get(path),
    "Fn::If": _Resolver.choose,
    "Fn::Sub": lambda resolve, argument: resolve.sub(argument),
    "Fn::Split": lambda resolve, argument: resolve.split(argument),
    "Fn::Select": lambda resolve, argument: resolve.select(argument),
    "Fn::Equals": lambda resolve, pair: str(resolve(pair[0])) == str(resolve(pair[1])),
    "Fn::Not": lambda resolve, operands: not resolve(operands[0]),
    "Fn::And": lambda resolve, operands: all(map(resolve, operands)),
    "Fn::Or": lambda resolve, operands: any(map(resolve, operands)),
}
