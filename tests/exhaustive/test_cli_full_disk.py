"""A full disk: one line names the file, one the remedy, and no error hides another one."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import gettempdir

import pytest

from ddbreplica.errors import TaskError
from ddbreplica.files.temporary import directory_of_sqlite, temporary_file
from ddbreplica.model import Key
from ddbreplica.reconcile.review_list import Undecided
from ddbreplica.records.decode import key_of
from ddbreplica.verify.keyset import KeySet
from ddbreplica_cli.terminal.output import print_note
from tests.support.cli import REPLICA, SOURCE, Misbehaviour, Tables, lines, run
from tests.support.exported import FOLDER, STATE, InS3
from tests.support.on_moto import running

FULL = Path("/dev/full")
WAY_OUT = "Try: free disk space, or name another file with --report, and run the same command again."

pytestmark = pytest.mark.skipif(not FULL.exists(), reason="/dev/full is Linux's")


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """Limit the size of files of this process. Python ignores the signal SIGXFSZ."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def key(number: int) -> Key:
    return key_of({"PK": {"S": f"{number:05}" + "x" * 1000}})


@pytest.fixture
def apart(tables: Tables, short_watches: None) -> Tables:
    for number in range(30):
        tables.put(SOURCE, f"missing{number}")
    return tables


class TestReport:
    ARGS = ("verify", "--transform", "none", "--grace", "0", "--report", str(FULL))

    def test_ends_but_the_verification_continues(self, apart: Tables) -> None:
        result = run(*self.ARGS)

        assert result.exit_code == 2
        assert lines(result.stdout)[-1] == "NOT EQUAL"
        assert lines(result.stderr) == [
            (
                "/dev/full cannot be written: No space left on device. The report is not complete; the verification"
                " continues."
            ),
            "Try: run the same command with --repair --dry-run, then with --repair.",
            "Error: the report /dev/full is not complete: No space left on device. The comparison itself is complete.",
            WAY_OUT,
        ]

    def test_into_a_pipe_that_its_reader_closed_needs_no_disk_space(self, apart: Tables) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        try:
            result = run("verify", "--grace", "0", "--report", f"/dev/fd/{writer}")
        finally:
            os.close(writer)

        assert result.exit_code == 2
        assert lines(result.stderr)[-2:] == [
            f"Error: the report /dev/fd/{writer} is not complete: Broken pipe. The comparison itself is complete.",
            "Try: run the same command again with a program that reads all lines, or name a file with --report.",
        ]

    def test_is_in_the_document_too(self, apart: Tables) -> None:
        result = run(*self.ARGS, "--json")

        document = json.loads(result.stdout)
        assert (result.exit_code, document["verdict"], document["missing"]) == (2, "not equal", 30)
        assert (
            document["error"]
            == "the report /dev/full is not complete: No space left on device. The comparison itself is complete."
        )

    def test_does_not_end_a_repair(self, apart: Tables) -> None:
        result = run(*self.ARGS, "--repair", "--without-mapping")

        assert result.exit_code == 2
        assert lines(result.stdout)[-1] == "repaired"
        assert apart.items(REPLICA) == apart.items(SOURCE)

    def test_without_a_difference_is_complete(self, tables: Tables) -> None:
        assert run(*self.ARGS).exit_code == 0

    def test_does_not_hide_the_error_of_a_verification(self, apart: Tables, aws: Misbehaviour) -> None:
        apart.put(REPLICA, "extra")
        aws.refuse("BatchGetItem", "AccessDeniedException", after=4)

        result = run(*self.ARGS, "--segments", "1", "--archive")

        assert result.exit_code == 2
        assert lines(result.stderr)[-2].startswith("Error: the table logfile")
        assert "AccessDeniedException" in lines(result.stderr)[-2]


class TestTemporaryFiles:
    def test_a_file_of_keys(self) -> None:
        with closing(KeySet()) as keys, room_for(1_000_000), pytest.raises(TaskError) as raised:
            keys.add(map(key, range(20_000)))

        assert raised.value.fact.startswith(
            f"the temporary file of keys, in {directory_of_sqlite()}, cannot be written: "
        )
        assert "TMPDIR" in raised.value.hint

    def test_sqlites_directory(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("SQLITE_TMPDIR", raising=False)
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        assert directory_of_sqlite() == str(tmp_path)
        monkeypatch.setenv("TMPDIR", str(tmp_path / "nowhere"))
        assert directory_of_sqlite() == "/var/tmp"  # noqa: S108

    def test_closing_a_file_hides_no_error(self) -> None:
        with pytest.raises(KeyError), room_for(100), temporary_file() as file:  # noqa: PT012
            file.write(bytes(1000))  # flushing the buffer fails at the end, too
            raise KeyError


class TestExport(InS3):
    @pytest.fixture(autouse=True)
    def _here(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)

    def test_an_export_without_space(self) -> None:
        self.export(["a"])
        self.put("data/0.json.gz", os.urandom(300_000))

        with room_for(100_000):
            result = self.backfill()

        assert result.exit_code == 2
        assert lines(result.stderr) == [
            (
                f"Error: the temporary file of s3://bucket/{FOLDER}/data/0.json.gz, in {gettempdir()}, cannot be"
                " written: File too large; 0 items were processed."
            ),
            "Try: free space there, or set TMPDIR to another directory, and run the same command again.",
        ]
        assert not STATE.exists()


class TestUndecided:
    def test_no_partial_line_remains(self, tmp_path: Path) -> None:
        undecided = Undecided(tmp_path / "file", note=print_note)
        undecided.add([key(1)])
        before = undecided.path.read_bytes()

        with room_for(2_000), pytest.raises(TaskError, match="file cannot be written: File too large"):
            undecided.add([key(2), key(3)])

        assert undecided.path.read_bytes() == before


class TestOutput:
    def test_rows(self) -> None:
        result = run("load", "--generate", "10", "--output", str(FULL))

        assert result.exit_code == 2
        assert lines(result.stderr) == [
            "Error: /dev/full cannot be written: No space left on device.",
            "Try: free disk space, check the directory, or name another file.",
        ]

    def test_a_result(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
        with (
            FULL.open("w") as full,
            running(
                tmp_path, "verify", "--transform", "none", "--grace", "0", stdout=full.fileno()
            ) as process,
        ):
            status, _, stderr = process.end()

        assert status == 2
        assert stderr.splitlines() == [
            "Error: standard output: No space left on device.",
            "Try: free disk space, or check the file and its permissions.",
        ]

    def test_a_help_text(self) -> None:
        with FULL.open("w") as full:
            ended = subprocess.run(
                [sys.executable, "-m", "ddbreplica_cli", "--help"],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )

        assert ended.returncode == 2
        assert ended.stderr.splitlines() == [
            "Error: the output cannot be written: No space left on device.",
            "Try: redirect it to another file.",
        ]


@pytest.mark.skipif(
    sys.platform != "linux", reason="nowhere else has a file that cannot be read by its owner"
)
@pytest.mark.usefixtures("tables")
@pytest.mark.parametrize(
    "args", [("load",), ("load", "--dry-run"), ("verify", "--transform", "none", "--keys-from")]
)
def test_an_error_names_the_file_that_cannot_be_read(args: Sequence[str]) -> None:
    result = run(*args, "/proc/self/mem")

    assert result.exit_code == 2
    assert lines(result.stderr)[0] == "Error: /proc/self/mem: Input/output error."
