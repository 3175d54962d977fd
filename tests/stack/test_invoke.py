"""demo.invoke runs the function with an event file, and prints what it did."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from demo.invoke import read
from tests.support.modules import ROOT

SAM = ROOT / ".venv-sam" / "bin" / "sam"


def invoke(event: Path | str, *, stdin: str | None = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # noqa: S603  our own
        [sys.executable, "-m", "demo.invoke", str(event)],
        cwd=ROOT,
        input=stdin,
        env={
            **os.environ,
            "AWS_PROFILE": "none-of-this-name",
            "AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:9",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def section(output: str, title: str) -> list[str]:
    lines = output.partition(f"\n{title}:\n")[2].partition("\n\n")[0].splitlines()
    return [line.strip() for line in lines]


@pytest.mark.parametrize("name", ["insert", "tasks-insert", "users-insert"])
def test_the_replica_has_the_items_of_the_event(name: str) -> None:
    path = ROOT / "events" / f"{name}.json"
    images = [record["dynamodb"]["NewImage"] for record in json.loads(path.read_text())["Records"]]

    done = invoke(path)

    assert (done.returncode, done.stderr) == (0, "")
    assert section(done.stdout, "Response") == ['{"batchItemFailures": []}']
    assert len(section(done.stdout, "Items of the table replica")) == len(images)
    assert section(done.stdout, "Records in the bucket quarantine") == ["(none)"]


def test_an_event_that_sam_generates_is_applied() -> None:
    generated = subprocess.run(  # noqa: S603  SAM CLI
        [SAM, "local", "generate-event", "dynamodb", "update"],
        env={**os.environ, "AWS_DEFAULT_REGION": "us-east-1", "SAM_CLI_TELEMETRY": "0"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout

    done = invoke("-", stdin=generated)

    assert done.returncode == 0
    assert '"DeletesApplied":1' in done.stdout
    assert section(done.stdout, "Items of the table replica") == ["(none)"]


def test_a_record_that_cannot_be_written_is_shown_with_its_reason() -> None:
    done = invoke(ROOT / "events" / "undecodable.json")

    quarantined = [json.loads(line) for line in section(done.stdout, "Records in the bucket quarantine")]
    assert (done.returncode, len(quarantined)) == (0, 7)
    assert "malformed record: NewImage is missing" in {record["reason"] for record in quarantined}


def test_an_invocation_that_fails_ends_with_1_and_its_error() -> None:
    done = invoke(ROOT / "events" / "keys-only.json")

    assert done.returncode == 1
    assert "The stream's StreamViewType is KEYS_ONLY" in done.stdout


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (None, "Error: {path} cannot be read: No such file or directory.\n"),
        ("{", "Error: {path} is not JSON: "),
        (
            "[]",
            "Error: no record of the event has a primary key: one or two attributes of the type S, N or B.\nTry: ",
        ),
        (
            '{"Records": [{"dynamodb": {"Keys": {"a": {"M": {}}}}}]}',
            "Error: no record of the event has a primary key: ",
        ),
        ("[" * 200_000, "Error: {path} is not an event: its values are nested too deeply.\n"),
    ],
)
def test_a_file_without_an_event_is_an_error(tmp_path: Path, content: str | None, error: str) -> None:
    path = tmp_path / "event.json"
    if content is not None:
        path.write_text(content)

    done = invoke(path)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(error.format(path=path))


@pytest.mark.parametrize("name", ["a 'b\"$c.json", "$(touch x)`touch y`.json", "-a.json"])
def test_make_takes_any_name_of_a_file(tmp_path: Path, name: str) -> None:
    make = shutil.which("make")
    assert make
    (tmp_path / name).write_text("{", encoding="utf-8")

    done = subprocess.run(  # noqa: S603  our own
        [
            make,
            "-s",
            "-f",
            str(ROOT / "Makefile"),
            "invoke",
            "-o",
            "setup",
            f"BIN={Path(sys.executable).parent}",
            f"EVENT={name}",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 2
    assert f"Error: {name} is not JSON: " in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_an_event_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "event.json"
    path.write_text((ROOT / "events" / "insert.json").read_text(encoding="utf-8"), encoding="utf-8-sig")

    assert len(read(str(path))["Records"]) == 1
