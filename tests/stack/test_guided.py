"""`sam deploy --guided`, its questions answered by Enter: what docs/deployment.md says of it is so."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from demo.command import Finished
from demo.embedded import embedded_aws
from tests.support.sam import Project, project
from tests.support.template import ROOT, defaults

STACK = "ddbreplica"
LAST = "Deploy this changeset? [y/N]:"
GUIDE = (ROOT / "docs" / "deployment.md").read_text()

pytestmark = pytest.mark.loopback


@dataclass(frozen=True, slots=True)
class Guided:
    """A guided deployment: how it ended, what it asked, and whether there was a stack afterwards."""

    project: Project
    finished: Finished
    questions: list[str]


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with embedded_aws() as aws:
        yield project(aws, tmp_path_factory.mktemp("guided"))


@pytest.fixture(scope="module")
def entered(fresh: Project) -> Guided:
    """Each question answered by Enter."""
    return Guided(fresh, *fresh.asked(lambda _: "", "deploy", "--guided"))


@pytest.fixture(scope="module")
def confirmed(entered: Guided) -> Guided:
    """The same with a yes to the last question."""
    answers = {LAST: "y"}
    return Guided(
        entered.project,
        *entered.project.asked(lambda question: answers.get(question, ""), "deploy", "--guided"),
    )


def test_enter_deploys_nothing_and_exits_with_0(entered: Guided) -> None:
    assert entered.finished.exit_code == 0, entered.finished.output
    assert entered.questions[-1] == LAST
    assert entered.project.tables() == set()
    assert entered.project.status(STACK) == "REVIEW_IN_PROGRESS"


def test_it_asks_for_each_parameter_and_eight_more(entered: Guided) -> None:
    *before, _ = entered.questions
    asked = [match[1] for question in before if (match := re.match(r"Parameter (\w+) \[", question))]

    assert sorted(asked) == sorted(defaults())
    said = re.search(
        r"asks (\d+) questions: one for each of the (\d+) parameters and (\w+) of its own", GUIDE
    )
    assert said
    assert [int(said[1]), int(said[2]), said[3]] == [len(before), len(asked), "eight"]
    assert len(before) - len(asked) == 8


def test_a_yes_creates_the_stack_with_the_defaults_of_the_template(confirmed: Guided) -> None:
    assert confirmed.finished.exit_code == 0, confirmed.finished.output
    assert confirmed.project.status(STACK) in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}
    assert confirmed.project.parameters(STACK) == {name: str(value) for name, value in defaults().items()}


def test_it_writes_every_parameter_into_samconfig(confirmed: Guided) -> None:
    written = confirmed.project.configured("default")["parameter_overrides"]
    pinned = dict(pair.split("=", 1) for pair in shlex.split(written))

    assert pinned == {name: str(value) for name, value in defaults().items()}


def test_the_next_plain_deployment_undoes_what_parameter_overrides_set(confirmed: Guided) -> None:
    one = confirmed.project

    once = one.deploy("--parameter-overrides", "MemorySize=512")
    set_once = one.parameters(STACK)["MemorySize"]
    plain = one.deploy()

    assert (once.exit_code, set_once) == (0, "512"), once.output
    assert (plain.exit_code, one.parameters(STACK)["MemorySize"]) == (0, "256"), plain.output


def test_without_the_line_a_plain_deployment_keeps_the_value(confirmed: Guided) -> None:
    one = confirmed.project
    kept = [
        line for line in one.config.read_text().splitlines() if not line.startswith('parameter_overrides = "')
    ]
    one.config.write_text("\n".join(kept))

    once = one.deploy("--parameter-overrides", "MemorySize=512")
    another = one.deploy("--parameter-overrides", "BatchSize=50")

    assert (once.exit_code, another.exit_code) == (0, 0), another.output
    assert one.parameters(STACK)["MemorySize"] == "512"
