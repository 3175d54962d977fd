"""The recipes' templates pass cfn-lint with each of their parameters."""

import json

import pytest
from cfnlint.api import lint, lint_file  # type: ignore[import-untyped]
from cfnlint.config import ManualArgs  # type: ignore[import-untyped]

from tests.support.examples import EXAMPLES, KEY, STREAM, TOPIC, template
from tests.support.template import REGION, expand, load


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_template_is_free_of_lint(example: str) -> None:
    assert list(map(str, lint_file(template(example)))) == []


@pytest.mark.parametrize(
    "parameters", [{}, {"AlarmTopicArn": TOPIC}, {"FifoTopic": "true"}, {"KmsKeyArn": KEY}], ids=str
)
@pytest.mark.parametrize("example", EXAMPLES)
def test_the_expanded_template_is_free_of_lint(example: str, parameters: dict[str, str]) -> None:
    known = {
        name: value for name, value in parameters.items() if name in load(template(example))["Parameters"]
    }
    expanded = json.dumps(expand(template(example), SourceStreamArn=STREAM, **known))

    assert list(map(str, lint(expanded, config=ManualArgs(regions=[REGION])))) == []
