"""The builds of the recipes: each handler runs with its layer."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.build import build
from tests.support.examples import EXAMPLES, FUNCTIONS, of_type, template


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_handler_runs_on_the_layer_that_is_built_with_it(example: str, tmp_path: Path) -> None:
    build(tmp_path, project=template(example).parent)
    bundle, layer = tmp_path / FUNCTIONS[example], tmp_path / "DdbreplicaLayer" / "python"
    function = of_type(example, "AWS::Lambda::Function")
    module, _, handler = function["Handler"].partition(".")
    probe = f"""
import sys; sys.path[:0] = {[str(bundle), str(layer)]}
import boto3, ddbreplica, {module}
print({module}.{handler}.__name__, *(each.__file__ for each in ({module}, ddbreplica, boto3)), sep="\\n")
"""
    probed = subprocess.run(  # noqa: S603
        [sys.executable, "-I", "-c", probe], capture_output=True, text=True, check=True
    )

    name, *files = probed.stdout.split()
    assert name == "lambda_handler"
    assert [Path(file).parent for file in files] == [bundle, layer / "ddbreplica", layer / "boto3"]
    assert [path.name for path in bundle.iterdir() if path.name != "__pycache__"] == [f"{module}.py"]
    (used,) = function["Layers"]
    assert used.startswith("<DdbreplicaLayer")
