"""What a contributor reads is so: the targets, folders and files of CONTRIBUTING.md, and what the workflow runs."""

import re

import pytest

from tests.support.modules import ROOT

CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
TEMPLATE = (ROOT / ".github" / "pull_request_template.md").read_text()
WORKFLOW = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
TARGETS = set(re.findall(r"^([a-z0-9-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("page", [CONTRIBUTING, TEMPLATE], ids=["contributing", "pull request"])
def test_a_target_that_is_named_exists(page: str) -> None:
    named = set(re.findall(r"`make ([a-z0-9-]+)", page)) | set(
        re.findall(r"^\$ make (\S+)", page, re.MULTILINE)
    )

    assert named
    assert named <= TARGETS


def test_a_file_or_folder_that_is_named_exists() -> None:
    named = re.findall(r"`((?:src|cli|tests)/[\w/.]*)`", CONTRIBUTING)

    assert len(named) > 10
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_one_test_that_it_runs_is_found() -> None:
    ((path, word),) = re.findall(r"^\$ \.venv/bin/pytest (\S+) -k (\w+)$", CONTRIBUTING, re.MULTILINE)

    assert re.search(rf"def test_\w*{word}", (ROOT / path).read_text())


def test_the_version_is_where_a_release_changes_it() -> None:
    version = re.search(r'^version = "([\d.]+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)

    assert version
    assert f"SemanticVersion: {version[1]}\n" in (ROOT / "template.yaml").read_text()


def test_the_workflow_runs_what_ci_runs_and_may_read_alone() -> None:
    assert re.search(r"^        run: .*\.ci/run$", WORKFLOW, re.MULTILINE)
    assert re.findall(r"^permissions:\n  (.*)\n\n", WORKFLOW, re.MULTILINE) == ["contents: read"]
    assert WORKFLOW.count("permissions:") == 1
    assert "secrets." not in WORKFLOW
    assert "persist-credentials: false" in WORKFLOW


def test_every_action_is_pinned_by_its_commit() -> None:
    actions = re.findall(r"uses: (.*)", WORKFLOW)

    assert len(actions) == 2
    assert all(re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40} # v[\d.]+", action) for action in actions)


def test_no_expression_of_the_workflow_reaches_a_shell() -> None:
    runs = re.findall(r"^ +run: (.*)", WORKFLOW, re.MULTILINE)

    assert len(runs) == 2
    assert not any("${{" in run for run in runs)
