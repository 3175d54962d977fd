"""The files that a command writes, in a directory where other users may have created files with these names."""

import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import Result

from ddbreplica.aws.clock import Clock
from ddbreplica.errors import TaskError
from ddbreplica.files.temporary import temporary_file
from ddbreplica.model import Key
from ddbreplica.reconcile.journal import FileJournal
from ddbreplica.reconcile.journal_format import COMMANDS, VERIFY
from ddbreplica.reconcile.review_list import Undecided
from ddbreplica.reconcile.state_file import StateFile
from ddbreplica.records.decode import key_of
from ddbreplica.verify.keyset import KeySet
from ddbreplica_cli.terminal.output import print_note
from tests.support.cli import REPLICA, SOURCE, Tables, lines, run

CONTENT = b"what the user had written"
A = key_of({"PK": {"S": "a"}})
LOAD = ("load", "--generate", "3", "--output")
REPORT = ("verify", "--transform", "none", "--grace", "0", "--report")
REPAIR = ("verify", "--repair", "--without-mapping", "--transform", "none", "--grace", "0", "--state")


@dataclass(frozen=True, slots=True)
class RefusalKind:
    """A kind of file: its name, the command that uses it, and the option that selects another file."""

    name: str
    use: Callable[[], Result | None]
    option: str


def _undecided() -> None:
    Undecided(Path("state.undecided"), note=print_note).add([A])


KINDS = [
    RefusalKind("state", lambda: run(*REPAIR, "state"), "--state"),
    RefusalKind("state.new", lambda: run(*REPAIR, "state"), "--state"),
    RefusalKind("state.undecided", _undecided, "--state"),
    RefusalKind("differences.jsonl", lambda: run(*REPORT, "differences.jsonl"), "--report"),
    RefusalKind("rows.csv", lambda: run(*LOAD, "rows.csv"), "--output"),
]

each_kind = pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])


@pytest.fixture(autouse=True)
def _apart(tables: Tables, short_watches: None) -> None:
    """One item that the replica does not have."""
    tables.put(SOURCE, "a")


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file of the user in another directory."""
    path = tmp_path / "home" / "precious"
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    path.chmod(0o644)
    return path


def refused(kind: RefusalKind) -> list[str]:
    """Return the last two lines of the command."""
    try:
        result = kind.use()
    except TaskError as error:
        return [f"Error: {error.fact}", f"Try: {error.hint}"]
    assert result is not None
    assert result.exit_code == 2, result.output
    return lines(result.stderr)[-2:]


def mode(path: Path | str) -> int:
    return stat.S_IMODE(Path(path).stat().st_mode)


class TestPlanted:
    @each_kind
    @pytest.mark.parametrize("has_target", [True, False], ids=["link", "dangling link"])
    def test_a_symbolic_link_is_not_followed(
        self, kind: RefusalKind, victim: Path, *, has_target: bool
    ) -> None:
        target = victim if has_target else victim.with_name("nothing")
        Path(kind.name).symlink_to(target)

        assert refused(kind) == [
            f"Error: {kind.name} is a symbolic link, which is not followed.",
            f"Try: name another file with {kind.option}, or remove this one.",
        ]
        assert (victim.read_bytes(), mode(victim)) == (CONTENT, 0o644)
        assert [path.name for path in victim.parent.iterdir()] == ["precious"]
        assert Path(kind.name).is_symlink()

    @each_kind
    def test_the_target_of_a_hard_link_is_not_changed(self, kind: RefusalKind, victim: Path) -> None:
        os.link(victim, kind.name)

        assert refused(kind) == [
            f"Error: {kind.name} has another name (a hard link), under which its content would change too.",
            f"Try: name another file with {kind.option}, or remove this one.",
        ]
        assert (victim.read_bytes(), mode(victim)) == (CONTENT, 0o644)

    @each_kind
    def test_a_pipe_without_a_reader_blocks_nothing(self, kind: RefusalKind) -> None:
        os.mkfifo(kind.name)

        assert refused(kind)[0] == f"Error: {kind.name} is not a regular file."

    @each_kind
    def test_a_file_of_another_user_is_not_written(
        self, kind: RefusalKind, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        Path(kind.name).touch()
        me = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: me + 1)
        if kind.name == "state.new":
            Path("state").write_bytes(b"")
            monkeypatch.setattr(os, "geteuid", _first(me, then=me + 1))

        assert refused(kind)[0] == f"Error: {kind.name} belongs to another user."
        assert Path(kind.name).read_bytes() == b""

    @each_kind
    def test_a_link_that_is_created_meanwhile_is_not_followed(
        self, kind: RefusalKind, victim: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The link is created between the check of the name and the opening of the file."""
        open_file = os.open

        def opened(path: Path, flags: int, *more: int) -> int:
            if Path(path).name == kind.name:
                Path(path).unlink(missing_ok=True)
                Path(path).symlink_to(victim)
            return open_file(path, flags, *more)

        monkeypatch.setattr(os, "open", opened)

        why = "is a symbolic link, " if kind.name == "state.new" else "cannot be written: Too many levels"
        assert refused(kind)[0].startswith(f"Error: {kind.name} {why}")
        assert (victim.read_bytes(), mode(victim)) == (CONTENT, 0o644)

    @each_kind
    def test_a_file_that_is_created_meanwhile_is_not_used(
        self, kind: RefusalKind, victim: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        open_file = os.open

        def opened(path: Path, flags: int, *more: int) -> int:
            if Path(path).name == kind.name and not Path(path).exists():
                os.link(victim, path)
            return open_file(path, flags, *more)

        monkeypatch.setattr(os, "open", opened)

        assert refused(kind)[0].startswith(f"Error: {kind.name} has another name (a hard link)")
        assert (victim.read_bytes(), mode(victim)) == (CONTENT, 0o644)

    def test_a_device_in_any_other_directory_is_not_opened(self) -> None:
        """Only root can create one directly in /dev."""
        assert lines(run(*LOAD, "/dev/../dev/null").stderr)[0] == (
            "Error: /dev/../dev/null is not a regular file."
        )

    @pytest.mark.parametrize("command", COMMANDS)
    def test_a_planted_state_file_does_not_stop_a_verification(self, command: str, victim: Path) -> None:
        """It looks for the state files of other commands and ignores files that are none."""
        os.mkfifo(f"{SOURCE}-{REPLICA}.{command}")
        assert run("verify", "--grace", "0").exit_code == 1

        Path(f"{SOURCE}-{REPLICA}.{command}").unlink()
        Path(f"{SOURCE}-{REPLICA}.{command}").symlink_to(victim)
        assert run("verify", "--grace", "0").exit_code == 1


def _first(value: int, *, then: int) -> Callable[[], int]:
    """Return a function that returns `value` for all files before `state.new`, and then `then`."""
    values = iter([value] * 2)
    return lambda: next(values, then)


@pytest.mark.parametrize("kind", KINDS[3:], ids=[kind.name for kind in KINDS[3:]])
def test_an_existing_file_of_the_user_is_replaced(kind: RefusalKind) -> None:
    Path(kind.name).write_bytes(CONTENT * 1000)

    kind.use()

    assert CONTENT not in Path(kind.name).read_bytes()


@pytest.mark.parametrize("kind", KINDS[3:], ids=[kind.name for kind in KINDS[3:]])
def test_a_state_is_not_overwritten(kind: RefusalKind) -> None:
    state = b'{"ddbreplica":"state","version":2,"command":"redrive"}\n{"open":[{"PK":{"S":"a"}}]}\n'
    Path(kind.name).write_bytes(state)

    assert refused(kind) == [
        f"Error: {kind.name} is the state file of a command, and may list writes that AWS can still apply.",
        f"Try: name another file with {kind.option}.",
    ]
    assert Path(kind.name).read_bytes() == state


class TestMode:
    @each_kind
    def test_only_the_user_can_read_a_new_file(
        self, kind: RefusalKind, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[int] = []
        truncate = os.fsync

        def noted(descriptor: int) -> None:
            seen.extend(mode(path) for path in Path().iterdir() if path.is_file())
            truncate(descriptor)

        monkeypatch.setattr(os, "fsync", noted)
        before = os.umask(0)
        try:
            kind.use()
        finally:
            os.umask(before)

        seen.extend(mode(path) for path in Path().iterdir() if path.is_file())
        assert seen
        assert set(seen) == {0o600}

    @pytest.mark.parametrize("kind", KINDS[2:], ids=[kind.name for kind in KINDS[2:]])
    def test_the_mode_of_a_readable_file_is_changed_with_a_note(
        self, kind: RefusalKind, capsys: pytest.CaptureFixture[str]
    ) -> None:
        Path(kind.name).write_bytes(b"")
        Path(kind.name).chmod(0o664)

        result = kind.use()

        said = result.stderr if result else capsys.readouterr().err
        assert mode(kind.name) == 0o600
        assert (
            lines(said)[0]
            == f"Note: the mode of {kind.name} was 0664 and is now 0600: other users cannot read it."
        )

    def test_a_readable_state_file_is_replaced_by_a_private_one(self) -> None:
        with closing(journal()) as left:
            left.note("one", 1)
        Path("state").chmod(0o644)

        with closing(journal()) as resumed:
            assert resumed.notes == {"one": 1}
            assert mode("state") == 0o600

    def test_a_file_system_without_modes_causes_a_note(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        Path("state.undecided").touch()
        Path("state.undecided").chmod(0o755)

        def refuse(*_: int) -> None:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(os, "fchmod", refuse)
        _undecided()

        assert capsys.readouterr().err == (
            "Note: other users may read state.undecided, since its file system does not keep the mode 0600.\n"
        )

    def test_a_file_that_is_not_a_state_keeps_its_mode(self) -> None:
        Path("mine").write_bytes(CONTENT)
        Path("mine").chmod(0o644)

        assert run(*REPAIR, "mine").exit_code == 2
        assert (Path("mine").read_bytes(), mode("mine")) == (CONTENT, 0o644)


def journal() -> FileJournal:
    return FileJournal.at(Path("state"), command=VERIFY, clock=Clock())


class TestNewState:
    @pytest.mark.parametrize(
        "left", [b"", b'{"ddb', b'{"ddbreplica":"state","version":2,"command":"verify"}\n{"open":'], ids=len
    )
    def test_a_file_of_a_killed_run_does_not_lock_the_next_run(self, left: bytes) -> None:
        with closing(journal()) as before:
            before.note("one", 1)
        Path("state.new").write_bytes(left)

        with closing(journal()) as resumed:
            assert resumed.notes == {"one": 1}
        assert [path.name for path in Path().iterdir()] == ["state"]

    def test_a_file_of_the_user_is_not_replaced(self) -> None:
        Path("state.new").write_bytes(CONTENT)

        with pytest.raises(TaskError) as raised:
            journal()

        assert (
            raised.value.fact
            == "state.new exists and was not written by ddbreplica, which needs this name for a new state file."
        )
        assert raised.value.hint == "move or rename that file, or name another state file with --state."
        assert Path("state.new").read_bytes() == CONTENT

    def test_a_file_that_appears_again_immediately_is_not_opened(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        Path("state.new").touch()
        unlink = Path.unlink

        def planted(path: Path) -> None:
            unlink(path)
            path.symlink_to("elsewhere")

        monkeypatch.setattr(Path, "unlink", planted)
        with pytest.raises(TaskError, match=r"state\.new is a symbolic link, which is not followed"):
            journal()

        assert not Path("elsewhere").exists()

    def test_a_file_that_another_process_writes_is_not_removed(self) -> None:
        with closing(StateFile(Path("state"))) as other:
            Path("state").rename("state.new")
            with pytest.raises(TaskError, match=r"state\.new is in use by another command"):
                journal()
            other.append(b"more", durably=False)

        assert Path("state.new").read_bytes() == b"more"

    @pytest.mark.parametrize("name", ["state.new", "state.undecided"])
    def test_no_state_file_has_the_name_of_a_companion_file(self, name: str) -> None:
        assert lines(run(*REPAIR, name).stderr) == [
            f"Error: {name} cannot be a state file: ddbreplica uses such a name for another file beside it.",
            "Try: name another file with --state.",
        ]

    def test_a_report_does_not_replace_the_state_file(self) -> None:
        result = run(*REPAIR, "state", "--report", "state")

        assert result.exit_code == 2
        assert lines(result.stderr)[0] == "Error: state is in use by another command."


class TestStreams:
    """Output to devices and pipes."""

    def output(self, *arguments: str, device: str, **streams: int) -> "subprocess.CompletedProcess[bytes]":
        done: subprocess.CompletedProcess[bytes] = subprocess.run(  # noqa: S603
            [sys.executable, "-m", "ddbreplica_cli", *arguments, device],
            stdin=subprocess.DEVNULL,
            check=False,
            **streams,  # type: ignore[call-overload]
        )
        return done

    @pytest.mark.parametrize("device", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
    def test_standard_output_is_a_pipe(self, device: str) -> None:
        if not Path(device).parent.exists():
            pytest.skip("no such directory here")
        done = self.output(*LOAD, device=device, stdout=subprocess.PIPE)

        assert done.returncode == 0
        assert len(done.stdout.splitlines()) == 4
        assert done.stdout.endswith(f"Wrote 3 rows to {device}.\n".encode())

    def test_standard_error(self) -> None:
        done = self.output(*LOAD, device="/dev/stderr", stdout=subprocess.PIPE, stderr=subprocess.PIPE)

        assert (done.returncode, len(done.stderr.splitlines())) == (0, 3)

    def test_standard_output_as_a_file_keeps_its_mode_and_its_content(self, tmp_path: Path) -> None:
        path = tmp_path / "out"
        path.write_bytes(b"before\n")
        path.chmod(0o644)
        with path.open("ab") as stdout:
            done = self.output(*LOAD, device="/dev/stdout", stdout=stdout.fileno())

        assert done.returncode == 0
        assert mode(path) == 0o644
        assert len(path.read_bytes().splitlines()) == 5

    def test_a_pipe_of_the_shell(self) -> None:
        done = subprocess.run(  # noqa: S602
            f'"{sys.executable}" -m ddbreplica_cli load --generate 3 --output >(wc -l) | cat',
            shell=True,
            executable="/bin/bash",
            capture_output=True,
            check=False,
        )

        assert done.stderr == b""
        assert b"3\n" in done.stdout

    @pytest.mark.parametrize("device", ["/dev/null", "/dev/stdout", "/dev/stderr"])
    def test_a_report(self, device: str) -> None:
        assert run(*REPORT, device).exit_code == 1

    @pytest.mark.parametrize("arguments", [REPORT, LOAD], ids=["report", "output"])
    def test_a_full_device_is_an_error(self, arguments: tuple[str, ...]) -> None:
        if not Path("/dev/full").exists():
            pytest.skip("no /dev/full here")
        result = run(*arguments, "/dev/full")

        assert result.exit_code == 2
        assert "/dev/full cannot be written: No space left on device" in result.stderr

    @pytest.mark.parametrize("device", ["/dev/fd/999", "/dev/nothing/at/all"])
    def test_a_closed_descriptor_is_an_error(self, device: str) -> None:
        result = run(*LOAD, device)

        assert result.exit_code == 2
        assert lines(result.stderr)[0].startswith(f"Error: {device} cannot be written: ")


def keys() -> Iterator[Key]:
    return (key_of({"PK": {"S": f"{number:05}" + "x" * 1000}}) for number in range(20_000))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows what a process has open")
class TestTemporaryFiles:
    """Data larger than memory is in a file without a name, which only its user can open."""

    def spilled(self) -> list[os.stat_result]:
        found = []
        for link in Path("/proc/self/fd").iterdir():
            try:
                target = link.readlink()
                is_deleted = target.name.endswith(" (deleted)") and target.is_absolute()
                found += [link.stat()] if is_deleted else []
            except FileNotFoundError:
                continue
        return [each for each in found if stat.S_ISREG(each.st_mode)]

    def test_keys(self) -> None:
        before = {each.st_ino for each in self.spilled()}
        with closing(KeySet()) as held:
            held.add(keys())
            new = [each for each in self.spilled() if each.st_ino not in before]

        assert new
        assert {(stat.S_IMODE(each.st_mode), each.st_nlink) for each in new} == {(0o600, 0)}

    def test_an_export(self) -> None:
        before = {each.st_ino for each in self.spilled()}
        with temporary_file() as file:
            file.write(CONTENT)
            (new,) = [each for each in self.spilled() if each.st_ino not in before]

        assert (stat.S_IMODE(new.st_mode), new.st_nlink) == (0o600, 0)
