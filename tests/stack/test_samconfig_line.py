"""AWS SAM CLI reads the line that `ddbreplica transform check` shows as the same transform."""

import json
import subprocess
from pathlib import Path
from typing import Final

import pytest

from ddbreplica_cli.runs.transform.deployable import parameter, samconfig_line
from tests.support.modules import ROOT

PYTHON: Final = ROOT / ".venv-sam" / "bin" / "python"
READ: Final = """
import json, sys
from pathlib import Path
from samcli.cli.types import CfnParameterOverridesType
from samcli.lib.config.file_manager import TomlFileManager
config = TomlFileManager.read(Path(sys.argv[1]))
overrides = config["default"]["deploy"]["parameters"]["parameter_overrides"]
print(json.dumps(CfnParameterOverridesType().convert(overrides, None, None)))
"""


@pytest.mark.skipif(not PYTHON.exists(), reason="AWS SAM CLI is not set up: run `make .venv-sam/ready`")
@pytest.mark.parametrize(
    "name",
    ["plain", 'quo"ted', "it's", "back\\slash", "\\ ", "a\\nb", "line\nbreak", "naïve 🙂", "a=b c=d", "\\\\"],
)
def test_sam_reads_the_same_transform(tmp_path: Path, name: str) -> None:
    rules = {"set": {name: {"S": name}}, "drop": [f"{name} "]}
    line = samconfig_line(parameter(rules))
    config = f"""
version = 0.1
[default.deploy.parameters]
parameter_overrides = [
  "BillingMode=PAY_PER_REQUEST",
  {line}
  "AlarmEmail=me@example.com",
]
"""
    (tmp_path / "samconfig.toml").write_text(config, "utf-8")

    read = subprocess.run(  # noqa: S603  our own
        [PYTHON, "-c", READ, tmp_path / "samconfig.toml"], capture_output=True, text=True, check=True
    )

    overrides = json.loads(read.stdout)
    assert json.loads(overrides.pop("Transform")) == rules
    assert overrides == {"BillingMode": "PAY_PER_REQUEST", "AlarmEmail": "me@example.com"}
